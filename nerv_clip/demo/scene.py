"""The content of one picture of the kitchen as plain values: rendered and labelled from these."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerv_clip.demo.shapes import Colour

# the colours of items, as linear RGB in [0, 1]
COLOURS: dict[str, Colour] = {
    "red": (0.62, 0.015, 0.02),
    "green": (0.04, 0.36, 0.05),
    "blue": (0.02, 0.1, 0.6),
    "yellow": (0.85, 0.58, 0.02),
    "orange": (0.85, 0.2, 0.01),
    "purple": (0.24, 0.03, 0.42),
    "white": (0.82, 0.82, 0.8),
    "black": (0.018, 0.018, 0.02),
}
SINK = (-0.25, 0.65)  # centre, (x, y)
BURNERS = ((0.78, 0.66), (1.2, 0.62))
PAN_PLACE = (*BURNERS[1], 0.075)


@dataclass(frozen=True)
class Item:
    """An object: its kind and colour, its position, and its rotation around z in radians."""

    kind: str
    colour: str
    x: float
    y: float
    z: float = 0.0
    angle: float = 0.0
    tilt: float = 0.0  # rotation around y in radians, of a rolling apple


@dataclass(frozen=True)
class Hand:
    """A hand at the item that it holds; ``angle`` is the direction of its arm around z."""

    x: float
    y: float
    z: float
    angle: float


@dataclass(frozen=True)
class Decor:
    """Properties that vary between kitchens and that no label names; colours are linear RGB."""

    wall: Colour = (0.45, 0.42, 0.36)
    tiles: Colour = (0.4, 0.48, 0.48)
    cupboard: Colour = (0.3, 0.36, 0.33)
    counter: Colour = (0.3, 0.17, 0.085)
    counter_texture: str = "wood"
    fridge: Colour = (0.5, 0.5, 0.47)
    clutter: frozenset[str] = frozenset({"shelf", "plant", "board"})
    seed: int = 0  # varies textures and clutter


@dataclass(frozen=True)
class Camera:
    """Position, the point it is aimed at, and the vertical field of view in degrees."""

    eye: tuple[float, float, float] = (0.02, -2.4, 1.1)
    target: tuple[float, float, float] = (0.0, 0.35, 0.22)
    field_of_view: float = 36.0


@dataclass(frozen=True)
class Light:
    """Brightness of the lights."""

    lamp: float = 1.0  # the kitchen's lights, from 0 (off) to 1 (on)
    day: float = 1.0  # daylight, from 0 (night) to 1 (day)
    strength: float = 1.0  # factor on lamp and daylight
    ambient: float = 1.0  # factor on ambient light
    side: float = -1.0  # direction of the daylight in x


@dataclass(frozen=True)
class Scene:
    """One picture; ``tap``, ``fridge``, ``fire`` and ``steam`` run from 0 (off, closed) to 1."""

    items: tuple[Item, ...] = ()
    hands: tuple[Hand, ...] = ()
    light: Light = field(default_factory=Light)
    tap: float = 0.0
    fridge: float = 0.0
    fire: float = 0.0
    steam: float = 0.0
    phase: float = 0.0  # of the animation of flames, water and steam
    decor: Decor = field(default_factory=Decor)
    camera: Camera = field(default_factory=Camera)
