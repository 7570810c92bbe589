"""Random scenes: decor, cameras, lights and compositions, drawn from a NumPy generator."""

from __future__ import annotations

import colorsys
import math
from dataclasses import replace

import numpy as np

from nerv_clip.demo.scene import (
    BURNERS,
    COLOURS,
    PAN_PLACE,
    Camera,
    Decor,
    Hand,
    Item,
    Light,
    Scene,
)
from nerv_clip.demo.shapes import KINDS, Colour

MIN_DISTANCE = 0.34  # between the centres of two items
GRIP_HEIGHT = {  # of a hand above the base of the item that it holds
    "mug": 0.27, "apple": 0.24, "kettle": 0.5, "bowl": 0.2,
    "plate": 0.07, "bottle": 0.52, "pan": 0.15, "knife": 0.07,
}  # fmt: skip
TALL = ("kettle", "bottle", "mug")
CLUTTER = ("shelf", "plant", "board", "towel", "rail")


def random_decor(rng: np.random.Generator) -> Decor:
    """The walls, wood and clutter of a random kitchen."""
    wooden = rng.random() < 0.6
    if wooden:
        tone = float(rng.uniform(0.5, 1.3))
        counter = (0.3 * tone, 0.17 * tone, 0.085 * tone)
    else:
        tone = float(rng.uniform(0.12, 0.55))
        counter = (tone, 0.98 * tone, 0.95 * tone)
    kept = frozenset(name for name in CLUTTER if rng.random() < 0.6)
    return Decor(
        wall=_pale_colour(rng, 0.28, 0.55),
        tiles=_pale_colour(rng, 0.25, 0.5),
        cupboard=_pale_colour(rng, 0.15, 0.5),
        counter=counter,
        counter_texture="wood" if wooden else "marble",
        fridge=_pale_colour(rng, 0.3, 0.55),
        clutter=kept,
        seed=int(rng.integers(1_000_000)),
    )


def _pale_colour(rng: np.random.Generator, low: float, high: float) -> Colour:
    """A colour that is too pale to be confused with the colour of an item."""
    hue, bright = rng.random(), rng.uniform(low, high)
    red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(0.05, 0.3), bright)
    return float(red), float(green), float(blue)


def random_camera(rng: np.random.Generator) -> Camera:
    """A camera near the default one."""
    default = Camera()
    moved = rng.uniform(-1, 1, 7)
    ex, ey, ez = default.eye
    tx, ty, tz = default.target
    return Camera(
        (ex + 0.3 * moved[0], ey + 0.25 * moved[1], ez + 0.15 * moved[2]),
        (tx + 0.12 * moved[3], ty + 0.1 * moved[4], tz + 0.07 * moved[5]),
        default.field_of_view + 3.5 * moved[6],
    )


def random_light(rng: np.random.Generator) -> Light:
    """Lamp on or off, day or night, with random brightness."""
    return Light(
        lamp=float(rng.random() < 0.5),
        day=float(rng.random() < 0.5),
        strength=float(rng.uniform(0.8, 1.2)),
        ambient=float(rng.uniform(0.85, 1.2)),
        side=float(rng.choice([-1, 1]) * rng.uniform(0.5, 1.2)),
    )


def free_place(
    rng: np.random.Generator, kind: str, taken: list[tuple[float, float]]
) -> tuple[float, float, float] | None:
    """A free position for an item, away from the positions ``taken``, the sink and the stove.

    None if 30 attempts find none.
    """
    for _ in range(30):
        x, y = float(rng.uniform(-0.78, 1.0)), float(rng.uniform(-0.3, 0.6))
        z = 0.0
        if kind == "pan" and rng.random() < 0.7:
            x, y, z = PAN_PLACE
        elif kind == "kettle" and rng.random() < 0.2:
            (x, y), z = BURNERS[0], 0.075
        elif (y > 0.3 and -0.68 < x < 0.18) or (y > 0.25 and x > 0.4):
            continue  # sink and stove
        elif kind in TALL and y > -0.12 and -0.55 < x < 0.1:
            continue  # the item would hide the tap
        if all(math.hypot(x - a, y - b) > MIN_DISTANCE for a, b in taken):
            return x, y, z
    return None


def random_items(rng: np.random.Generator, count: int) -> list[Item]:
    """Up to ``count`` items on the counter and the stove."""
    items: list[Item] = []
    for _ in range(count):
        kind = str(rng.choice(KINDS))
        place = free_place(rng, kind, [(item.x, item.y) for item in items])
        if place is None:
            continue
        angle = float(rng.uniform(0, 2 * math.pi))
        if kind == "pan":  # the handle points away from the wall
            angle = float(rng.uniform(-2.6, -0.4))
        colour = str(rng.choice(list(COLOURS)))
        if items and rng.random() < 0.12:  # a second one of the same, for plurals
            kind, colour = items[-1].kind, items[-1].colour
        items.append(Item(kind, colour, *place, angle=angle))
    return items


def held(item: Item, side: float, lean: float, lift: float) -> tuple[Item, Hand]:
    """An item raised by ``lift`` in a hand whose arm comes from ``side`` (±1), with the hand."""
    raised = replace(item, z=item.z + lift)
    angle = lean if side > 0 else math.pi - lean
    return raised, Hand(item.x, item.y, raised.z + GRIP_HEIGHT[item.kind], angle)


def random_scene(rng: np.random.Generator, decor: Decor, max_items: int) -> Scene:
    """A scene with 1 to ``max_items`` items."""
    items = random_items(rng, int(rng.integers(1, max_items + 1)))
    hands: tuple[Hand, ...] = ()
    if rng.random() < 0.3:
        chosen = int(rng.integers(len(items)))
        side, lean = float(rng.choice([-1, 1])), float(rng.uniform(-0.9, 0.25))
        items[chosen], hand = held(items[chosen], side, lean, float(rng.uniform(0, 0.45)))
        hands = (hand,)
    return Scene(
        tuple(items),
        hands,
        random_light(rng),
        tap=float(rng.random() < 0.35),
        fridge=float(rng.uniform(0.5, 1)) if rng.random() < 0.35 else 0.0,
        fire=float(rng.uniform(0.7, 1)) if rng.random() < 0.4 else 0.0,
        steam=float(rng.uniform(0.6, 1)) if rng.random() < 0.5 else 0.0,
        phase=float(rng.uniform(0, 20)),
        decor=decor,
        camera=random_camera(rng),
    )


def recoloured(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with other colours and lights, with or without steam; the shapes stay."""
    colours = [str(rng.choice(list(COLOURS))) for _ in scene.items]
    kinds = [item.kind for item in scene.items]
    for index, kind in enumerate(kinds):
        if kind in kinds[:index] and rng.random() < 0.5:
            colours[index] = colours[kinds.index(kind)]
    items = tuple(replace(i, colour=c) for i, c in zip(scene.items, colours, strict=True))
    light = replace(random_light(rng), side=scene.light.side)  # shadows stay as traced
    steam = float(rng.uniform(0.6, 1)) if rng.random() < 0.5 else 0.0
    return replace(scene, items=items, light=light, steam=steam)
