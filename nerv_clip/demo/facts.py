"""What is true of a picture, as a set of short facts: the ground between pixels and words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.room import HAND
from nerv_clip.demo.scene import COLOURS, PAN_PLACE, Scene
from nerv_clip.demo.shapes import KINDS


@dataclass(frozen=True)
class Reading:
    """From where on something counts: a share of the picture, how much, how bright."""

    seen: float = 0.0025  # a thing, of the picture's area
    on: float = 0.3  # taps, fires, doors and steam
    lit: float = 0.5  # the lamp, and the day


PLAIN = Reading()
# what these two do not agree about is doubtful: a caption may say it or its opposite
GENEROUS, STRICT = Reading(0.0005, 0.05, 0.2), Reading(0.0025, 0.6, 0.8)

STATES = {  # what a picture has either of
    "tap": ("tap on", "tap off"),
    "fridge": ("fridge open", "fridge closed"),
    "fire": ("fire on", "fire off"),
    "steam": ("steam on", "steam off"),
    "lamp": ("lights on", "lights off"),
    "day": ("day", "night"),
}


@dataclass(frozen=True)
class Seen:
    """A thing that can be seen, with its box (left, top, right, bottom) in pixels, inclusive."""

    kind: str
    colour: str
    box: tuple[int, int, int, int]
    area: float  # share of the picture
    held: bool
    on_fire: bool


@dataclass(frozen=True)
class Labels:
    """Everything that the project says about one picture."""

    objects: tuple[Seen, ...]
    hand: bool
    actions: tuple[str, ...]  # of "tap on", "fridge open", "fire on", "steam on"
    lights: str  # "on" or "off"
    outside: str  # "day" or "night"

    @property
    def states(self) -> tuple[str, ...]:
        """The half of every pair of `STATES` that is true."""
        true = {*self.actions, f"lights {self.lights}", self.outside}
        return tuple(first if first in true else second for first, second in STATES.values())

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Labels:
        """The inverse of `plain`."""
        objects = tuple(Seen(**{**o, "box": tuple(o["box"])}) for o in values["objects"])
        actions = tuple(values["actions"])
        return cls(objects, values["hand"], actions, values["lights"], values["outside"])


def label(scene: Scene, owner: NDArray[np.integer[Any]], reading: Reading = PLAIN) -> Labels:
    """The labels of a scene whose pixels belong to the items ``owner`` (H, W, samples)."""
    seen = []
    holding = {(round(h.x, 3), round(h.y, 3)) for h in scene.hands}
    hand = bool((owner == HAND).mean() >= reading.seen)
    for index, item in enumerate(scene.items):
        mine = owner == index
        area = float(mine.mean())
        if area < reading.seen:
            continue
        rows, columns = np.nonzero(mine.any(2))
        box = (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
        held = hand and (round(item.x, 3), round(item.y, 3)) in holding
        fired = (
            item.kind == "pan"
            and scene.fire >= reading.on
            and (item.x, item.y) == PAN_PLACE[:2]
            and item.z <= PAN_PLACE[2]
        )
        seen.append(Seen(item.kind, item.colour, box, round(area, 5), held, fired))
    lights = "on" if scene.light.lamp >= reading.lit else "off"
    outside = "day" if scene.light.day >= reading.lit else "night"
    return Labels(tuple(seen), hand, _actions(scene, seen, reading), lights, outside)


def doubtful(scene: Scene, owner: NDArray[np.integer[Any]]) -> frozenset[str]:
    """The facts that a generous and a strict look at a picture do not agree about."""
    return facts(label(scene, owner, GENEROUS)) ^ facts(label(scene, owner, STRICT))


def _actions(scene: Scene, seen: list[Seen], reading: Reading) -> tuple[str, ...]:
    """What goes on; steam needs a kettle that is seen."""
    kettle = any(thing.kind == "kettle" for thing in seen)
    strength = {
        "tap": scene.tap,
        "fridge": scene.fridge,
        "fire": scene.fire,
        "steam": scene.steam if kettle else 0.0,
    }
    return tuple(STATES[name][0] for name, value in strength.items() if value >= reading.on)


def facts(labels: Labels) -> frozenset[str]:
    """All that is true of a picture, out of `FACTS`."""
    true = set(labels.states)
    kinds, pairs = Counter[str](), Counter[str]()
    for thing in labels.objects:
        pair = f"{thing.colour} {thing.kind}"
        kinds[thing.kind] += 1
        pairs[pair] += 1
        true |= {thing.kind, pair, f"{thing.colour} thing"}
        if thing.held:
            true |= {f"hold {thing.kind}", f"hold {pair}"}
        if thing.on_fire:
            true |= {"pan on fire", f"{pair} on fire"}
    true |= {f"two {name}" for name, count in (kinds + pairs).items() if count == 2}
    if labels.hand:
        true.add("hand")
    return frozenset(true)


def _all_facts() -> tuple[str, ...]:
    names = [name for pair in STATES.values() for name in pair] + ["hand", "pan on fire"]
    things = [*KINDS, *(f"{colour} {kind}" for colour in COLOURS for kind in KINDS)]
    for name in things:
        names += [name, f"hold {name}", f"two {name}"]
    names += [f"{colour} thing" for colour in COLOURS]
    names += [f"{colour} pan on fire" for colour in COLOURS]
    return tuple(names)


FACTS = _all_facts()
PLACE = {name: index for index, name in enumerate(FACTS)}
PAIRS = tuple(f"{colour} {kind}" for colour in COLOURS for kind in KINDS)


def truth(of_each: Sequence[Iterable[str]]) -> NDArray[np.bool_]:
    """Facts of N pictures or captions as rows, (N, F): which of `FACTS` are among them."""
    rows = np.zeros((len(of_each), len(FACTS)), bool)
    for row, names in zip(rows, of_each, strict=True):
        row[[PLACE[name] for name in names]] = True
    return rows
