"""Labels of a picture, and the set of short facts that follow from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.room import HAND
from nerv_clip.demo.scene import COLOURS, PAN_PLACE, Item, Scene
from nerv_clip.demo.shapes import KINDS


@dataclass(frozen=True)
class Thresholds:
    """The values in [0, 1] from which on an object is visible, and a state is on."""

    area: float = 0.0025  # of an object or a hand, as a share of the picture
    on: float = 0.3  # of tap, fridge, fire and steam
    bright: float = 0.5  # of lamp and daylight


DEFAULT = Thresholds()
# facts on which these two disagree are ambiguous
LENIENT, STRICT = Thresholds(0.0005, 0.05, 0.2), Thresholds(0.0025, 0.6, 0.8)

STATES = {  # pairs of opposites; exactly one of each pair is true of a picture
    "tap": ("tap on", "tap off"),
    "fridge": ("fridge open", "fridge closed"),
    "fire": ("fire on", "fire off"),
    "steam": ("steam on", "steam off"),
    "lamp": ("lights on", "lights off"),
    "day": ("day", "night"),
}


@dataclass(frozen=True)
class VisibleObject:
    """An object in a picture; ``box`` is (left, top, right, bottom) in pixels, inclusive."""

    kind: str
    colour: str
    box: tuple[int, int, int, int]
    area: float  # share of the picture
    held: bool
    on_fire: bool


@dataclass(frozen=True)
class Labels:
    """The labels of one picture."""

    objects: tuple[VisibleObject, ...]
    hand: bool
    actions: tuple[str, ...]  # of "tap on", "fridge open", "fire on", "steam on"
    lights: str  # "on" or "off"
    outside: str  # "day" or "night"

    @property
    def states(self) -> tuple[str, ...]:
        """The true one of each pair of `STATES`."""
        true = {*self.actions, f"lights {self.lights}", self.outside}
        return tuple(first if first in true else second for first, second in STATES.values())

    def to_json(self) -> dict[str, Any]:
        """The labels as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Labels:
        """The inverse of `to_json`; raises KeyError or TypeError for other content."""
        objects = tuple(VisibleObject(**{**o, "box": tuple(o["box"])}) for o in values["objects"])
        actions = tuple(values["actions"])
        return cls(objects, values["hand"], actions, values["lights"], values["outside"])


def label(
    scene: Scene, owners: NDArray[np.integer[Any]], thresholds: Thresholds = DEFAULT
) -> Labels:
    """The labels of a scene; ``owners`` (H, W, samples) is `Traced.owner_map`."""
    visible = []
    hand_places = {(round(h.x, 3), round(h.y, 3)) for h in scene.hands}
    hand = bool((owners == HAND).mean() >= thresholds.area)
    for item, mask in _visible(scene, owners, thresholds):
        area = float(mask.mean())
        rows, columns = np.nonzero(mask.any(2))
        box = (int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max()))
        held = hand and (round(item.x, 3), round(item.y, 3)) in hand_places
        on_fire = (
            item.kind == "pan"
            and scene.fire >= thresholds.on
            and (item.x, item.y) == PAN_PLACE[:2]
            and item.z <= PAN_PLACE[2]
        )
        visible.append(VisibleObject(item.kind, item.colour, box, round(area, 5), held, on_fire))
    lights = "on" if scene.light.lamp >= thresholds.bright else "off"
    outside = "day" if scene.light.day >= thresholds.bright else "night"
    return Labels(tuple(visible), hand, _actions(scene, visible, thresholds), lights, outside)


def mask_of(scene: Scene, owners: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    """The object that most rays of each pixel hit: (H, W), counted from 1 as `label` lists them.

    0 is where no listed object covers half of the pixel.
    """
    numbers = np.zeros(owners.shape[:2], np.uint8)
    for number, (_, mask) in enumerate(_visible(scene, owners, DEFAULT), start=1):
        numbers[mask.mean(2) >= 0.5] = number
    return numbers


def _visible(
    scene: Scene, owners: NDArray[np.integer[Any]], thresholds: Thresholds
) -> Iterator[tuple[Item, NDArray[np.bool_]]]:
    """The items that are large enough in the picture, with the rays (H, W, samples) that hit."""
    for index, item in enumerate(scene.items):
        mask = owners == index
        if float(mask.mean()) >= thresholds.area:
            yield item, mask


def ambiguous_facts(scene: Scene, owners: NDArray[np.integer[Any]]) -> frozenset[str]:
    """The facts that are neither plainly true nor plainly false.

    These are the facts on which lenient and strict thresholds disagree.
    """
    return facts_of(label(scene, owners, LENIENT)) ^ facts_of(label(scene, owners, STRICT))


def _actions(scene: Scene, visible: list[VisibleObject], thresholds: Thresholds) -> tuple[str, ...]:
    """The states that are on; steam counts only with a visible kettle."""
    kettle = any(item.kind == "kettle" for item in visible)
    strength = {
        "tap": scene.tap,
        "fridge": scene.fridge,
        "fire": scene.fire,
        "steam": scene.steam if kettle else 0.0,
    }
    return tuple(STATES[name][0] for name, value in strength.items() if value >= thresholds.on)


def facts_of(labels: Labels) -> frozenset[str]:
    """The true facts of a picture, out of `FACTS`."""
    true = set(labels.states)
    kinds, pairs = Counter[str](), Counter[str]()
    for item in labels.objects:
        pair = f"{item.colour} {item.kind}"
        kinds[item.kind] += 1
        pairs[pair] += 1
        true |= {item.kind, pair, f"{item.colour} thing"}
        if item.held:
            true |= {f"hold {item.kind}", f"hold {pair}"}
        if item.on_fire:
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


FACTS = _all_facts()  # every fact that a picture can have
FACT_INDEX = {name: index for index, name in enumerate(FACTS)}
PAIRS = tuple(f"{colour} {kind}" for colour in COLOURS for kind in KINDS)  # "red mug", …


def fact_matrix(facts: Sequence[Iterable[str]]) -> NDArray[np.bool_]:
    """The facts of N pictures or captions as a matrix (N, F) with a column for each of `FACTS`."""
    rows = np.zeros((len(facts), len(FACTS)), bool)
    for row, names in zip(rows, facts, strict=True):
        row[[FACT_INDEX[name] for name in names]] = True
    return rows
