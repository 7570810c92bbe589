"""What is in one picture of the kitchen: plain values, from which it is drawn and described."""

from __future__ import annotations

from dataclasses import dataclass, field

from nerv_clip.demo.shapes import Colour

# linear RGB of the colours that things come in
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
SINK = (-0.25, 0.65)  # x and y of its middle
BURNERS = ((0.78, 0.66), (1.2, 0.62))
PAN_PLACE = (*BURNERS[1], 0.075)


@dataclass(frozen=True)
class Item:
    """A thing: its kind and colour, where it stands, and how it is turned (radians)."""

    kind: str
    colour: str
    x: float
    y: float
    z: float = 0.0
    angle: float = 0.0
    tilt: float = 0.0  # around y, as a rolling apple


@dataclass(frozen=True)
class Hand:
    """A hand at the thing that it holds; ``angle`` is where its arm comes from, around z."""

    x: float
    y: float
    z: float
    angle: float


@dataclass(frozen=True)
class Look:
    """What differs from one kitchen to another and is named by no label: colours, linear RGB."""

    wall: Colour = (0.45, 0.42, 0.36)
    tiles: Colour = (0.4, 0.48, 0.48)
    cupboard: Colour = (0.3, 0.36, 0.33)
    counter: Colour = (0.3, 0.17, 0.085)
    counter_texture: str = "wood"
    fridge: Colour = (0.5, 0.5, 0.47)
    clutter: frozenset[str] = frozenset({"shelf", "plant", "board"})
    seed: int = 0  # of textures and of the small differences in clutter


@dataclass(frozen=True)
class Camera:
    """Where it stands, what it looks at, and its vertical opening in degrees."""

    eye: tuple[float, float, float] = (0.02, -2.4, 1.1)
    target: tuple[float, float, float] = (0.0, 0.35, 0.22)
    opening: float = 36.0


@dataclass(frozen=True)
class Light:
    """The light of a picture: each of 0 to 1, and factors for its strength."""

    lamp: float = 1.0  # the kitchen's lights: 0 off, 1 on
    day: float = 1.0  # through the window: 0 night, 1 day
    strength: float = 1.0
    ambient: float = 1.0
    side: float = -1.0  # where the daylight comes from, in x


@dataclass(frozen=True)
class Scene:
    """One picture. ``tap``, ``fridge``, ``fire``, ``steam`` go from 0 (off, closed) to 1."""

    items: tuple[Item, ...] = ()
    hands: tuple[Hand, ...] = ()
    light: Light = field(default_factory=Light)
    tap: float = 0.0
    fridge: float = 0.0
    fire: float = 0.0
    steam: float = 0.0
    phase: float = 0.0  # moves flames, water and steam
    look: Look = field(default_factory=Look)
    camera: Camera = field(default_factory=Camera)
