"""A random story for a video of the kitchen: items come and go, taps run, lights change."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from nerv_clip.demo.random_scenes import GRIP_HEIGHT, free_place, random_decor
from nerv_clip.demo.scene import COLOURS, PAN_PLACE, Camera, Decor, Hand, Item, Light, Scene
from nerv_clip.demo.shapes import KINDS

FRAMES = 300
MIN_FRAMES = 60
SLOTS = 30  # of a video; in each slot one item comes, moves, or leaves
STAY = 6  # slots after which an item is due to leave
MAX_ITEMS = 4  # at a time
OFF_STAGE = 1.95  # x of a position outside the picture
LIFT = 0.34  # height at which an item is carried over others
Span = tuple[int, int]
Place = tuple[float, float, float]
APPLES = ("red", "green", "yellow")


@dataclass(frozen=True)
class Trip:
    """The movement of an item in a slot of ``length`` frames.

    ``motion`` is "in", "out" or "move", by a hand from ``side`` (±1), or "roll in" or "roll out"
    without one.
    """

    start: int
    length: int
    motion: str
    side: float
    origin: Place
    goal: Place


@dataclass
class Visit:
    """The time of one item in the kitchen; it may begin before frame 0 and end after the last."""

    item: Item
    trips: list[Trip] = field(default_factory=list)
    end: int = 10**6

    @property
    def start(self) -> int:
        return self.trips[0].start

    @property
    def place(self) -> Place:
        """The position after the last trip."""
        return self.trips[-1].goal


@dataclass(frozen=True)
class Event:
    """A named event, in the frames from ``start`` up to, not including, ``end``."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Story:
    """A whole video as a script; `scene` gives each of its frames.

    ``active`` holds the spans of frames in which tap, fridge, fire, steam, lamp and day are on.
    """

    decor: Decor
    frames: int
    visits: tuple[Visit, ...]
    active: dict[str, tuple[Span, ...]]
    sway: tuple[float, ...]  # phases of the camera's movement

    @property
    def slot(self) -> int:
        """The length of a slot in frames."""
        return self.frames // SLOTS

    def scene(self, frame: int) -> Scene:
        """The scene at a frame index."""
        items, hands = [], []
        for visit in self.visits:
            if visit.start <= frame < visit.end:
                item, hand = _item_at(visit, frame)
                items.append(item)
                hands += [hand] if hand else []
        return Scene(
            tuple(items),
            tuple(hands),
            Light(lamp=self._level("lamp", frame, 1), day=self._level("day", frame, 8)),
            tap=self._level("tap", frame, 2),
            fridge=self._level("fridge", frame, 6),
            fire=self._level("fire", frame, 3),
            steam=self._level("steam", frame, 5),
            phase=frame / 12,
            decor=self.decor,
            camera=self._camera(frame),
        )

    def _level(self, name: str, frame: int, ramp: int) -> float:
        """A state in [0, 1] that rises and falls over ``ramp`` frames within its active spans."""
        best = 0.0
        for start, end in self.active[name]:
            if start <= frame < end:
                rise = 1.0 if start == 0 else (frame - start + 1) / ramp
                fall = 1.0 if end >= self.frames else (end - frame) / ramp
                best = max(best, _smoothstep(min(rise, fall, 1.0)))
        return best

    def _camera(self, frame: int) -> Camera:
        """The camera at a frame: a slow drift around the default."""
        default, s = Camera(), self.sway
        turn = 2 * math.pi * frame / self.frames
        ex, ey, ez = default.eye
        tx, ty, tz = default.target
        return Camera(
            (
                ex + 0.16 * math.sin(turn + s[0]),
                ey + 0.12 * math.sin(1.5 * turn + s[1]),
                ez + 0.06 * math.sin(turn + s[2]),
            ),
            (tx + 0.05 * math.sin(turn + s[3]), ty, tz + 0.03 * math.sin(1.5 * turn + s[4])),
            default.field_of_view + 1.2 * math.sin(turn + s[5]),
        )

    def events(self) -> list[Event]:
        """All events, sorted by time."""
        events = []
        for visit in self.visits:
            name = f"the {visit.item.colour} {visit.item.kind}"
            for trip in visit.trips:
                action = {
                    "in": f"a hand brings {name}",
                    "out": f"a hand takes {name} away",
                    "move": f"a hand moves {name}",
                    "roll in": f"{name} rolls in",
                    "roll out": f"{name} rolls away",
                }[trip.motion]
                events.append(Event(action, trip.start, trip.start + trip.length))
            if visit.item.kind == "pan":
                standing = (visit.start + self.slot, min(visit.end - self.slot, self.frames))
                events += _overlaps(f"{name} is on the fire", standing, self.active["fire"])
        names = {
            "tap": "the tap runs",
            "fridge": "the fridge is open",
            "fire": "the stove burns",
            "steam": "the kettle steams",
        }
        for key, name in names.items():
            events += [Event(name, start, end) for start, end in self.active[key]]
        for key, (up, down) in {
            "lamp": ("the lights go on", "the lights go off"),
            "day": ("day breaks", "night falls"),
        }.items():
            for start, end in self.active[key]:
                events += [Event(up, start, start + self.slot)] if start > 0 else []
                events += [Event(down, end, end + self.slot)] if end < self.frames else []
        inside = [e for e in events if e.end > 0 and e.start < self.frames]
        cut = [Event(e.name, max(e.start, 0), min(e.end, self.frames)) for e in inside]
        return sorted(cut, key=lambda event: (event.start, event.end, event.name))


def _overlaps(name: str, span: Span, others: tuple[Span, ...]) -> list[Event]:
    """An event for each overlap of a span with the others."""
    both = [(max(span[0], start), min(span[1], end)) for start, end in others]
    return [Event(name, start, end) for start, end in both if start < end]


def make_story(seed: int, frames: int = FRAMES) -> Story:
    """The kitchen and the script of a seed, for a video of ``frames`` frames.

    No item and no state stays unchanged for more than a third of the video. Raises ValueError for
    fewer than `MIN_FRAMES` frames.
    """
    if frames < MIN_FRAMES:
        raise ValueError(f"a story needs {MIN_FRAMES} frames or more")
    for attempt in range(1000):
        rng = np.random.default_rng([seed, attempt])
        decor = random_decor(rng)
        visits = _visits(rng, frames)
        active = _active_spans(rng, frames, visits)
        sway = tuple(float(v) for v in rng.uniform(0, 2 * math.pi, 6))
        story = Story(decor, frames, tuple(visits), active, sway)
        if _longest_unchanged(story) <= frames / 3:
            return story
    raise RuntimeError(f"no script for seed {seed}")  # not known to happen


def _longest_unchanged(story: Story) -> int:
    """The longest time in frames in which an item or a state does not change."""
    longest = 0
    for visit in story.visits:
        longest = max(longest, min(visit.end, story.frames) - max(visit.start, 0))
    for spans in story.active.values():
        edges = [0, *(edge for span in spans for edge in span), story.frames]
        longest = max(longest, *(b - a for a, b in pairwise(edges)))
    return longest


def _visits(rng: np.random.Generator, frames: int) -> list[Visit]:
    slot = frames // SLOTS
    present: list[Visit] = []
    past: list[Visit] = []
    for kind, age in zip(("kettle", *_shuffled(rng, [k for k in KINDS if k != "kettle"])[:2]),
                         (2, 4, 0), strict=True):  # fmt: skip
        _add_visit(rng, kind, (-slot - age * slot, slot), present, past)
    absent = dict.fromkeys(("kettle", "pan"), 0)
    for start in range(0, frames, slot):
        kinds = {visit.item.kind for visit in present}
        absent = {k: 0 if k in kinds else n + 1 for k, n in absent.items()}
        oldest = min(present, key=lambda visit: visit.start, default=None)
        due = oldest is not None and start - oldest.start >= STAY * slot
        missing = [k for k, n in absent.items() if n > 3]
        if oldest is not None and (due or len(present) >= MAX_ITEMS):
            _end_visit(rng, oldest, (start, slot), present, past)
        elif missing:
            _add_visit(rng, missing[0], (start, slot), present, past)
        elif len(present) == MAX_ITEMS - 1 and rng.random() < 0.35:
            _add_move(rng, present[int(rng.integers(len(present)))], (start, slot), present)
        else:
            others = [k for k in KINDS if k not in kinds]
            _add_visit(rng, str(rng.choice(others)), (start, slot), present, past)
    return past + present


def _shuffled(rng: np.random.Generator, values: list[str]) -> list[str]:
    return [values[int(index)] for index in rng.permutation(len(values))]


def _add_visit(
    rng: np.random.Generator, kind: str, when: Span, present: list[Visit], past: list[Visit]
) -> None:
    """Bring an item of a kind, if a position and a colour are free; ``when`` is (start, length)."""
    place = free_place(rng, kind, [visit.place[:2] for visit in present])
    if kind == "pan":
        taken = any(math.dist(visit.place[:2], PAN_PLACE[:2]) < 0.3 for visit in present)
        place = None if taken else PAN_PLACE
    if place is None:
        return
    used = {(v.item.kind, v.item.colour) for v in (*present, *past)}
    choices = [c for c in (APPLES if kind == "apple" else COLOURS) if (kind, c) not in used]
    if not choices:
        return
    angle = float(rng.uniform(-2.2, -0.9) if kind == "pan" else rng.uniform(-0.9, 0.9))
    item = Item(kind, str(rng.choice(choices)), *place, angle=angle)
    side = 1.0 if place[0] > rng.uniform(-0.3, 0.5) else -1.0
    rolls = kind == "apple" and _free_to_roll(place, present)
    origin = (OFF_STAGE, place[1], 0.0) if rolls else _off_stage_position(side, place)
    present.append(Visit(item, [Trip(*when, "roll in" if rolls else "in", side, origin, place)]))


def _end_visit(
    rng: np.random.Generator, visit: Visit, when: Span, present: list[Visit], past: list[Visit]
) -> None:
    """Let an item leave; ``when`` is (start, length)."""
    side = 1.0 if visit.place[0] > rng.uniform(-0.3, 0.5) else -1.0
    others = [v for v in present if v is not visit]
    rolls = visit.item.kind == "apple" and _free_to_roll(visit.place, others)
    goal = (OFF_STAGE, visit.place[1], 0.0) if rolls else _off_stage_position(side, visit.place)
    visit.trips.append(Trip(*when, "roll out" if rolls else "out", side, visit.place, goal))
    visit.end = sum(when)
    present.remove(visit)
    past.append(visit)


def _add_move(rng: np.random.Generator, visit: Visit, when: Span, present: list[Visit]) -> None:
    """Move an item, if it has stood long enough and a position is free."""
    place = free_place(rng, "mug", [v.place[:2] for v in present])
    if place is None or visit.item.kind == "pan" or when[0] - visit.start < 2 * when[1]:
        return
    side = 1.0 if place[0] + visit.place[0] > 0 else -1.0
    visit.trips.append(Trip(*when, "move", side, visit.place, place))


def _off_stage_position(side: float, place: Place) -> Place:
    return (side * OFF_STAGE, place[1] - 0.25, 0.25)


def _free_to_roll(place: Place, others: list[Visit]) -> bool:
    return place[1] < 0.2 and all(
        v.place[0] < place[0] or abs(v.place[1] - place[1]) > 0.36 for v in others
    )


def _active_spans(
    rng: np.random.Generator, frames: int, visits: list[Visit]
) -> dict[str, tuple[Span, ...]]:
    def spans(off: Span, on: Span, first: bool) -> tuple[Span, ...]:
        edge, out = 0, []
        if not first:
            edge = int(rng.integers(*off) * frames // FRAMES)
        while edge < frames:
            end = min(frames, edge + int(rng.integers(*on) * frames // FRAMES))
            out.append((edge, end))
            edge = end + int(rng.integers(*off) * frames // FRAMES)
        return tuple(out)

    steam = []
    for visit in visits:
        start, end = visit.start + 16 * frames // FRAMES, min(visit.end - frames // SLOTS, frames)
        if visit.item.kind == "kettle" and end - max(start, 0) >= frames // 40:
            steam.append((max(start, 0), end))
    return {
        "tap": spans((35, 80), (22, 45), False),
        "fridge": spans((35, 80), (28, 50), False),
        "fire": spans((30, 60), (40, 75), False),
        "steam": tuple(sorted(steam)),
        "lamp": spans((35, 70), (50, 90), bool(rng.random() < 0.6)),
        "day": spans((50, 80), (60, 95), bool(rng.random() < 0.6)),
    }


def _smoothstep(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _item_at(visit: Visit, frame: int) -> tuple[Item, Hand | None]:
    """The item at a frame of its visit, and the hand near it, if there is one."""
    trip = [trip for trip in visit.trips if trip.start <= frame][-1]
    share = (frame - trip.start + 1) / trip.length
    item = visit.item
    if share > 1:
        return _moved(item, trip.goal), None
    if trip.motion.startswith("roll"):
        x = trip.origin[0] + (trip.goal[0] - trip.origin[0]) * _smoothstep(share)
        rest = trip.goal if trip.motion == "roll in" else trip.origin
        return replace(item, x=x, y=rest[1], z=rest[2], tilt=(x - rest[0]) / 0.15), None
    reach, carry = {"in": (0.0, 0.7), "out": (0.3, 0.7), "move": (0.25, 0.5)}[trip.motion]
    path = _smoothstep((share - reach) / carry)
    at = _arc(trip.origin, trip.goal, path)
    item = _moved(item, at)
    lean = -0.35
    angle = lean if trip.side > 0 else math.pi - lean
    hold = (at[0], at[1], at[2] + GRIP_HEIGHT[item.kind])
    if share < reach:
        hold = _interpolated(_hand_off_stage(trip.side, hold), hold, _smoothstep(share / reach))
    elif share > reach + carry:
        left = (share - reach - carry) / (1 - reach - carry)
        hold = _interpolated(hold, _hand_off_stage(trip.side, hold), _smoothstep(left))
    return item, Hand(*hold, angle)


def _moved(item: Item, place: Place) -> Item:
    return replace(item, x=place[0], y=place[1], z=place[2])


def _arc(origin: Place, goal: Place, share: float) -> Place:
    """A position between origin and goal, raised in the middle of the path."""
    x, y, z = _interpolated(origin, goal, share)
    return x, y, z + LIFT * 4 * share * (1 - share)


def _interpolated(origin: Place, goal: Place, share: float) -> Place:
    x, y, z = (a + (b - a) * share for a, b in zip(origin, goal, strict=True))
    return x, y, z


def _hand_off_stage(side: float, hold: Place) -> Place:
    return side * (OFF_STAGE + 0.3), hold[1] - 0.3, hold[2] + 0.35
