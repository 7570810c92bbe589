"""The kitchen without its items: walls, window, fridge, sink and stove, as parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, lru_cache

import numpy as np

from nerv_clip.demo.scene import BURNERS, SINK, Decor, Scene
from nerv_clip.demo.shapes import (
    CHROME,
    DARK,
    Array,
    Material,
    Part,
    arc,
    arm,
    box,
    lathe,
    rotation,
    shape,
    tube,
)

WALL = 1.0  # y of the wall behind the counter
WINDOW = (-0.72, 0.3, 0.44, 1.3)  # left, right, bottom, top on that wall
LAMP = (0.8, 0.25, 0.84)  # lower rim of the lamp shade
SPOUT = 0.34  # height of the tap's outlet
WATER = Material((0.2, 0.52, 0.85), gloss=0.9, mirror=0.1, glow=0.45)
WHITE = Material((0.8, 0.79, 0.76), gloss=0.2)
ITEM_SCALE = 1.2  # makes items easier to recognise in a small picture
_ITEM_SCALING: Array = np.diag(np.full(3, ITEM_SCALE, np.float32))
ROOM, HAND = -1, -2  # owners of parts that belong to no item


def parts(scene: Scene) -> Iterator[tuple[Part, int]]:
    """Every part of a scene with its owner: the index of its item, `ROOM` or `HAND`."""
    for piece in (*_fixed(scene.decor), *_stove(), *_lamp(), *_clutter(scene.decor)):
        yield piece, ROOM
    for piece in (*_fridge(scene.decor, scene.fridge), *_water(scene), *_flames(scene)):
        yield piece, ROOM
    for hand in scene.hands:
        for piece in arm():
            yield piece.moved(_ITEM_SCALING @ rotation(hand.angle), (hand.x, hand.y, hand.z)), HAND
    for index, item in enumerate(scene.items):
        turned = _ITEM_SCALING @ rotation(item.angle) @ rotation(item.tilt, "y")
        matrix = turned.astype(np.float32)
        # a rolling item turns around its centre, not around its base
        middle = np.array([0, 0, 0.115], np.float32) if item.tilt else np.zeros(3, np.float32)
        position = np.array([item.x, item.y, item.z], np.float32)
        offset = position + ITEM_SCALE * middle - matrix @ middle
        for piece in shape(item.kind):
            yield piece.moved(matrix, tuple(offset)), index


@lru_cache(128)
def _fixed(decor: Decor) -> tuple[Part, ...]:
    counter = Material(decor.counter, gloss=0.35, mirror=0.12, texture=decor.counter_texture)
    wall = Material(decor.wall, texture="plaster")
    tiles = Material(decor.tiles, gloss=0.4, texture="tiles")
    front = Material(decor.cupboard, gloss=0.1, texture="doors")
    steel = Material((0.22, 0.23, 0.24), gloss=0.7, mirror=0.15)
    (x, y), half, deep = SINK, (0.32, 0.2), 0.22
    left, right, low, high = WINDOW
    pieces = [
        # the counter, with a hole for the sink
        box((-0.96, -0.45, -0.06), (2.6, y - half[1], 0), counter),
        box((-0.96, y + half[1], -0.06), (2.6, WALL, 0), counter),
        box((-0.96, y - half[1], -0.06), (x - half[0], y + half[1], 0), counter),
        box((x + half[0], y - half[1], -0.06), (2.6, y + half[1], 0), counter),
        box((x - half[0], y - half[1], -deep - 0.02), (x + half[0], y + half[1], -deep), steel),
        box((x - half[0] - 0.01, y - half[1], -deep), (x - half[0], y + half[1], 0.006), steel),
        box((x + half[0], y - half[1], -deep), (x + half[0] + 0.01, y + half[1], 0.006), steel),
        box((x - half[0], y + half[1], -deep), (x + half[0], y + half[1] + 0.01, 0.006), steel),
        box((x - half[0], y - half[1] - 0.01, -deep), (x + half[0], y - half[1], 0.006), steel),
        box((-0.96, -0.4, -1.2), (2.6, -0.36, -0.06), front),
        box((-3.2, WALL, -1.2), (3.2, WALL + 0.05, 0.42), tiles),
        box((-3.2, WALL + 0.003, 0.42), (3.2, WALL + 0.05, 2.6), wall),
        box((-3.2, -4, -1.3), (3.2, WALL, -1.2), Material((0.25, 0.2, 0.16))),
        box((-3.2, -4, 2.6), (3.2, WALL, 2.7), Material((0.75, 0.74, 0.7))),
        box((2.6, -4, -1.2), (2.7, WALL, 2.6), wall),
        box((-3.2, -4, -1.2), (-3.1, WALL, 2.6), wall),
        # the window pane; its frame and sill follow
        box((left, WALL - 0.005, low), (right, WALL, high), Material((1, 1, 1), texture="sky")),
    ]
    for x0, x1 in ((left - 0.05, left), (right, right + 0.05), (-0.23, -0.19)):
        pieces.append(box((x0, WALL - 0.04, low), (x1, WALL, high), WHITE))
    for z0, z1 in ((low - 0.03, low + 0.02), (0.9, 0.93), (high, high + 0.05)):
        pieces.append(box((left - 0.05, WALL - 0.04, z0), (right + 0.05, WALL, z1), WHITE))
    pieces.append(box((left - 0.09, WALL - 0.12, low - 0.05), (right + 0.09, WALL, low), WHITE))
    return tuple(pieces)


@cache
def _stove() -> tuple[Part, ...]:
    glass = Material((0.02, 0.02, 0.022), gloss=0.9, mirror=0.18)
    pieces = [box((0.53, 0.38, 0), (1.48, 0.93, 0.012), glass)]
    for x, y in BURNERS:
        ring = [(0, 0.012), (0.09, 0.012), (0.09, 0.03), (0, 0.03)]
        pieces.append(lathe(ring, DARK).moved(np.eye(3, dtype=np.float32), (x, y, 0)))
        for angle in range(0, 180, 45):
            c, s = 0.2 * math.cos(math.radians(angle)), 0.2 * math.sin(math.radians(angle))
            pieces.append(tube([(x - c, y - s, 0.065), (x + c, y + s, 0.065)], 0.009, DARK))
    for x in (0.65, 0.85, 1.1, 1.3):
        knob = [(0, 0), (0.035, 0), (0.03, 0.035), (0, 0.035)]
        pieces.append(lathe(knob, CHROME, 12).moved(rotation(math.pi / 2, "x"), (x, -0.4, -0.17)))
    (x, y) = SINK
    arch = [(p[1], p[0], p[2]) for p in arc((y + 0.13, SPOUT + 0.04), 0.13, 0, 180)]
    pipe = [(x, y + 0.26, 0.0), *[(x, p[1], p[2]) for p in arch], (x, y, SPOUT)]
    pieces.append(tube(pipe, 0.03, CHROME))
    pieces.append(tube([(x + 0.02, y + 0.26, 0.08), (x + 0.16, y + 0.26, 0.13)], 0.02, CHROME))
    return tuple(pieces)


@cache
def _lamp() -> tuple[Part, ...]:
    x, y, z = LAMP
    shade = [
        (0.17, 0.0), (0.175, 0.0), (0.17, 0.04), (0.15, 0.085), (0.115, 0.12), (0.07, 0.145),
        (0.03, 0.155), (0, 0.16), (0, 0.15), (0.06, 0.135), (0.105, 0.11), (0.145, 0.075),
        (0.17, 0),
    ]  # fmt: skip
    bulb = [(0, -0.03), (0.05, -0.01), (0.06, 0.03), (0.03, 0.07), (0, 0.08)]
    at = (x, y, z)
    same = np.eye(3, dtype=np.float32)
    return (
        lathe(shade, Material((0.5, 0.42, 0.3), texture="shade")).moved(same, at),
        lathe(bulb, Material((1, 0.85, 0.6), texture="bulb")).moved(same, at),
        tube([(x, y, z + 0.16), (x, y, 2.6)], 0.008, DARK),
    )


@lru_cache(128)
def _clutter(decor: Decor) -> tuple[Part, ...]:
    rng = np.random.default_rng(decor.seed)
    wood = Material((0.3, 0.17, 0.08), gloss=0.15, texture="wood")
    same = np.eye(3, dtype=np.float32)
    pieces: list[Part] = []
    if "shelf" in decor.clutter:
        pieces.append(box((0.55, WALL - 0.26, 0.62), (1.75, WALL, 0.65), wood))
        for x in np.arange(0.66, 1.7, 0.21):
            high, wide = rng.uniform(0.1, 0.24), rng.uniform(0.05, 0.08)
            tone = rng.uniform(0.3, 0.7)
            jar = [(0, 0), (wide, 0), (wide, high), (wide * 0.7, high + 0.02), (0, high + 0.02)]
            glaze = Material((tone, tone * 0.93, tone * 0.8), gloss=0.4)
            pieces.append(lathe(jar, glaze, 16).moved(same, (float(x), WALL - 0.13, 0.65)))
    if "plant" in decor.clutter:
        pot = [(0, 0), (0.05, 0), (0.07, 0.11), (0.06, 0.11), (0, 0.1)]
        at = (0.12, WALL - 0.07, 0.44)
        pieces.append(lathe(pot, Material((0.35, 0.2, 0.13))).moved(same, at))
        for angle in rng.uniform(0, 2 * math.pi, 9):
            tip = rng.uniform(0.08, 0.13)
            stalk = [(0, 0, 0.1), (0.04, 0, 0.2), (tip, 0, 0.24 + 0.6 * rng.uniform(0, 0.12))]
            leaf = tube(stalk, 0.016, Material((0.06, 0.16, 0.05)))
            pieces.append(leaf.moved(rotation(float(angle)), at))
    if "board" in decor.clutter:
        board = box((0, 0, 0), (0.3, 0.03, 0.4), wood)
        pieces.append(board.moved(rotation(-0.18, "x"), (0.34, WALL - 0.11, 0)))
    if "towel" in decor.clutter:
        cloth = Material((0.62, 0.6, 0.55), texture="cloth")
        pieces.append(box((-0.955, 0.3, 0.1), (-0.945, 0.52, 0.5), cloth))
    if "rail" in decor.clutter:
        pieces.append(tube([(0.62, WALL - 0.04, 0.5), (1.6, WALL - 0.04, 0.5)], 0.01, CHROME))
        for x in np.arange(0.7, 1.6, 0.17):
            low = rng.uniform(0.22, 0.3)
            pieces.append(
                tube([(float(x), WALL - 0.05, 0.5), (float(x), WALL - 0.05, low)], 0.012, CHROME)
            )
            head = [(0, 0), (0.035, 0.01), (0.03, 0.08), (0, 0.09)]
            pieces.append(lathe(head, CHROME, 10).moved(same, (float(x), WALL - 0.06, low - 0.06)))
    return tuple(pieces)


FRIDGE = (-1.78, -0.96, 0.16, 0.96, -1.2, 1.5)  # x, y and z ranges


def _fridge(decor: Decor, opened: float) -> tuple[Part, ...]:
    x0, _, y0, *_ = FRIDGE
    swing = rotation(-1.9 * opened)
    door = (piece.moved(swing, (x0, y0, 0)) for piece in _fridge_door(decor))
    return (*_fridge_body(decor, opened > 0.02), *door)


@lru_cache(128)
def _fridge_body(decor: Decor, lit: bool) -> tuple[Part, ...]:
    skin = Material(decor.fridge, gloss=0.5, mirror=0.06)
    inside = Material((0.9, 0.93, 0.95), glow=0.8 if lit else 0.0)
    x0, x1, y0, y1, z0, z1 = FRIDGE
    pieces = [
        box((x0, y0 + 0.75, z0), (x1, y1, z1), skin),  # back and sides
        box((x0, y0, z0), (x0 + 0.04, y1, z1), skin),
        box((x1 - 0.04, y0, z0), (x1, y1, z1), skin),
        box((x0, y0, 1.38), (x1, y1, z1), skin),
        box((x0, y0, z0), (x1, y1, -0.55), skin),
        box((x0 + 0.045, y0 + 0.7, -0.55), (x1 - 0.045, y0 + 0.74, 1.38), inside),
        box((x0 + 0.041, y0 + 0.02, -0.55), (x0 + 0.05, y0 + 0.74, 1.38), inside),
    ]
    for z in (-0.15, 0.3, 0.75):
        pieces.append(box((x0 + 0.05, y0 + 0.05, z), (x1 - 0.05, y0 + 0.7, z + 0.02), inside))
        for i in range(3):  # food in pale colours, named by no label
            x, high = x0 + 0.16 + 0.21 * i, 0.12 + 0.07 * ((i * 7 + int(z * 20)) % 3)
            tone = (0.55, 0.5, 0.4) if i % 2 else (0.45, 0.5, 0.55)
            pieces.append(
                box((x, 0.3, z + 0.02), (x + 0.14, 0.5, z + 0.02 + high), Material(tone, glow=0.3))
            )
    return tuple(pieces)


@lru_cache(128)
def _fridge_door(decor: Decor) -> tuple[Part, ...]:
    skin = Material(decor.fridge, gloss=0.5, mirror=0.06)
    x0, x1, *_, z1 = FRIDGE
    return (
        box((0, -0.07, -0.54), (x1 - x0, 0, z1), skin),
        box((0.03, 0, -0.5), (x1 - x0 - 0.03, 0.01, z1 - 0.05), WHITE),
        tube([(x1 - x0 - 0.08, -0.12, 0.15), (x1 - x0 - 0.08, -0.12, 0.75)], 0.02, CHROME),
    )


def _water(scene: Scene) -> list[Part]:
    if scene.tap <= 0:
        return []
    (x, y), high = SINK, (SPOUT + 0.2) * scene.tap
    low, ripple = SPOUT - high, 1 + 0.12 * math.sin(scene.phase * 13)
    return [
        _jet().moved(_scale(2 - ripple, 2 - ripple, high), (x, y, low)),
        _splash().moved(_scale(ripple, ripple, 1), (x, y, low)),
    ]


def _flames(scene: Scene) -> list[Part]:
    if scene.fire <= 0:
        return []
    pieces, (x, y) = [], BURNERS[1]
    for i in range(14):
        angle = 2 * math.pi * i / 14
        high = 0.15 * scene.fire * (0.75 + 0.25 * math.sin(scene.phase * 11 + 2.4 * i))
        at = (x + 0.205 * math.cos(angle), y + 0.205 * math.sin(angle), 0.03)
        for flame in _flame():
            pieces.append(flame.moved(_scale(1, 1, high), at))
    return pieces


def _scale(x: float, y: float, z: float) -> Array:
    return np.diag(np.array([x, y, z], np.float32))


@cache
def _flame() -> tuple[Part, Part]:
    outer, inner = Material((1.0, 0.32, 0.03), glow=2.2), Material((0.1, 0.3, 1.0), glow=1.6)
    outline = [(0.0, 0.0), (0.034, 0.25), (0.024, 0.5), (0.0, 1.0)]
    small = [(0.7 * radius, 0.55 * high) for radius, high in outline]
    return lathe(outline, outer, 8), lathe(small, inner, 8)


@cache
def _jet() -> Part:
    return lathe([(0, 0), (0.034, 0), (0.03, 1), (0, 1)], WATER, 12)


@cache
def _splash() -> Part:
    return lathe([(0, 0), (0.13, 0), (0.06, 0.04), (0, 0.06)], WATER, 14)


def steam_puffs(scene: Scene) -> list[tuple[Array, float, float]]:
    """Centre (3,), radius and density in [0, 1] of the puffs of steam over every kettle."""
    puffs = []
    for item in scene.items:
        if scene.steam <= 0 or item.kind != "kettle":
            continue
        spout = ITEM_SCALE * rotation(item.angle) @ np.array([0.27, 0, 0.3], np.float32)
        start = spout + np.array([item.x, item.y, item.z], np.float32)
        for i in range(10):
            age = (i / 10 + scene.phase * 0.7) % 1.0
            drift = 0.06 * math.sin(6 * age + i) + 0.1 * age
            offset = np.array([drift, 0.02 * math.cos(5 * age + i), 0.62 * age], np.float32)
            density = scene.steam * 0.75 * (1 - age) ** 0.7 * min(1.0, age * 8)
            puffs.append((start + offset, 0.035 + 0.11 * age, density))
    return puffs
