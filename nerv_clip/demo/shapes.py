"""Objects of the kitchen as triangle meshes, built once from trimesh's primitives.

The unit of length is about the depth of the counter; z points up, y away from the camera. Every
object stands on z = 0 around the origin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trimesh import Trimesh

Array = NDArray[np.float32]
Colour = tuple[float, float, float]


class Material(NamedTuple):
    """The appearance of a surface.

    ``colour`` is linear RGB in [0, 1]; None stands for the colour of the item that it belongs to.
    """

    colour: Colour | None
    gloss: float = 0.0  # strength of highlights
    mirror: float = 0.0  # reflectance in [0, 1]
    glow: float = 0.0  # emitted light, as a multiple of the colour
    texture: str = ""  # a name of `nerv_clip.demo.shading`, or "" for a plain colour


@dataclass(frozen=True)
class Part:
    """A mesh of one material: (V, 3) vertices and unit normals, (F, 3) faces."""

    vertices: Array
    normals: Array
    faces: NDArray[np.int32]
    material: Material

    def moved(self, matrix: Array, offset: Sequence[float] = (0, 0, 0)) -> Part:
        """The part after a linear map, a (3, 3) matrix, and a shift by ``offset`` (3,).

        Normals are multiplied by the matrix and normalised, which is exact for rotations and
        uniform scales only.
        """
        normals = self.normals @ matrix.T
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        vertices = self.vertices @ matrix.T + np.asarray(offset, np.float32)
        return replace(self, vertices=vertices.astype(np.float32), normals=normals)


CHROME = Material((0.55, 0.56, 0.58), gloss=0.9, mirror=0.35)
DARK = Material((0.03, 0.03, 0.035), gloss=0.5, mirror=0.05)
BODY = Material(None, gloss=0.5, mirror=0.04)
SKIN = Material((0.72, 0.42, 0.3), gloss=0.1)
SLEEVE = Material((0.12, 0.16, 0.24), gloss=0.0)


def rotation(angle: float, axis: str = "z") -> Array:
    """The (3, 3) rotation by ``angle`` radians around an axis."""
    c, s = math.cos(angle), math.sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }[axis]
    return np.array(rows, np.float32)


def part(mesh: Trimesh, material: Material, crease: float = 35.0) -> Part:
    """A trimesh as a `Part`; edges of more than ``crease`` degrees stay sharp."""
    import trimesh

    mesh = trimesh.graph.smooth_shade(mesh, angle=math.radians(crease))
    return Part(
        np.ascontiguousarray(mesh.vertices, np.float32),
        np.ascontiguousarray(mesh.vertex_normals, np.float32),
        np.ascontiguousarray(mesh.faces, np.int32),
        material,
    )


def lathe(profile: Sequence[tuple[float, float]], material: Material, sections: int = 28) -> Part:
    """A solid of revolution around z; ``profile`` lists (radius, height), bottom to top."""
    from trimesh.creation import revolve

    return part(revolve(np.array(profile, float), sections=sections), material)


def tube(points: Sequence[Sequence[float]], radius: float, material: Material) -> Part:
    """A bar with a circular cross-section and rounded ends along a line of points."""
    import trimesh

    line = np.array(points, float)
    first, last = line[0] - line[1], line[-1] - line[-2]
    first, last = (radius * end / np.linalg.norm(end) for end in (first, last))
    line = np.concatenate([[line[0] + 0.8 * first], line, [line[-1] + 0.8 * last]])
    widths = radius * np.array([0.45, *[1.0] * len(points), 0.45])
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    aside = np.cross(along[0], np.eye(3)[np.argmin(np.abs(along[0]))])
    angles = np.linspace(0, 2 * math.pi, 10, endpoint=False)
    rings = []
    for point, ahead, width in zip(line, along, widths, strict=True):
        aside = aside - ahead * (aside @ ahead)  # parallel transport: the tube does not twist
        aside /= np.linalg.norm(aside)
        other = np.cross(ahead, aside)
        circle = np.cos(angles)[:, None] * aside + np.sin(angles)[:, None] * other
        rings.append(point + width * circle)
    vertices = np.concatenate([*rings, line[[0, -1]]])
    i, j = np.arange(10), (np.arange(10) + 1) % 10
    faces = []
    for ring in 10 * np.arange(len(line) - 1):
        faces += [np.stack([ring + i, ring + j, ring + 10 + j], 1)]
        faces += [np.stack([ring + i, ring + 10 + j, ring + 10 + i], 1)]
    top, end = 10 * (len(line) - 1), 10 * len(line)
    faces += [np.stack([j, i, np.full(10, end)], 1)]
    faces += [np.stack([top + i, top + j, np.full(10, end + 1)], 1)]
    return part(trimesh.Trimesh(vertices, np.concatenate(faces), process=False), material, 60)


def box(low: Sequence[float], high: Sequence[float], material: Material) -> Part:
    """A box between two corners."""
    from trimesh.creation import box as trimesh_box

    return part(trimesh_box(bounds=[low, high]), material)


def hull(points: Sequence[Sequence[float]], material: Material) -> Part:
    """The convex hull of points."""
    import trimesh

    return part(trimesh.convex.convex_hull(np.array(points, float)), material, crease=25)


def arc(centre: tuple[float, float], radius: float, start: float, end: float, y: float = 0.0,
        steps: int = 8) -> list[tuple[float, float, float]]:  # fmt: skip
    """Points on an arc in the plane of constant y; ``centre`` is (x, z), angles are in degrees."""
    angles = np.radians(np.linspace(start, end, steps))
    return [(centre[0] + radius * math.cos(a), y, centre[1] + radius * math.sin(a)) for a in angles]


def _mug() -> list[Part]:
    outline = [(0, 0), (0.1, 0), (0.115, 0.02), (0.12, 0.24), (0.104, 0.24), (0.1, 0.04), (0, 0.04)]
    coffee = [(0, 0.17), (0.1, 0.17), (0.1, 0.175), (0, 0.175)]
    return [
        lathe(outline, BODY),
        lathe(coffee, Material((0.08, 0.035, 0.015), gloss=0.4)),
        tube(arc((0.12, 0.125), 0.075, -75, 75), 0.02, BODY),
    ]


def _apple() -> list[Part]:
    angles = np.linspace(-math.pi / 2, math.pi / 2, 16)
    outline = [
        (0.135 * math.cos(a) ** 0.75 if abs(math.cos(a)) > 1e-6 else 0.0,
         0.115 + 0.115 * math.sin(a) - 0.045 * max(0.0, math.sin(a)) ** 9)
        for a in angles
    ]  # fmt: skip
    leaf = [(0.0, 0, 0.21), (0.05, 0.02, 0.26), (0.11, 0, 0.25), (0.05, -0.02, 0.24)]
    return [
        lathe(outline, Material(None, gloss=0.7, mirror=0.03)),
        tube([(0, 0, 0.16), (0.012, 0, 0.25)], 0.011, Material((0.12, 0.06, 0.03))),
        hull([*leaf, (0.05, 0, 0.265)], Material((0.08, 0.28, 0.05))),
    ]


def _kettle() -> list[Part]:
    belly = [(0, 0), (0.17, 0), (0.19, 0.03), (0.185, 0.12), (0.15, 0.22), (0.1, 0.27), (0, 0.28)]
    lid = [(0, 0.275), (0.085, 0.275), (0.08, 0.3), (0.02, 0.31), (0.02, 0.33), (0, 0.335)]
    return [
        lathe(belly, Material(None, gloss=0.8, mirror=0.06)),
        lathe(lid, DARK),
        tube([(0.15, 0, 0.1), (0.23, 0, 0.18), (0.27, 0, 0.27)], 0.032, BODY),
        tube(arc((0, 0.26), 0.165, 20, 160, steps=10), 0.02, DARK),
    ]


def _bowl() -> list[Part]:
    outline = [
        (0, 0), (0.08, 0), (0.085, 0.02), (0.15, 0.07), (0.195, 0.16), (0.182, 0.16),
        (0.14, 0.085), (0.08, 0.035), (0, 0.03),
    ]  # fmt: skip
    return [lathe(outline, BODY)]


def _plate() -> list[Part]:
    outline = [
        (0, 0), (0.12, 0), (0.15, 0.01), (0.24, 0.035), (0.24, 0.045), (0.15, 0.022), (0, 0.018),
    ]  # fmt: skip
    return [lathe(outline, BODY, sections=36)]


def _bottle() -> list[Part]:
    outline = [
        (0, 0), (0.085, 0), (0.095, 0.015), (0.095, 0.25), (0.08, 0.31), (0.035, 0.37),
        (0.032, 0.45), (0, 0.45),
    ]  # fmt: skip
    cap = [(0, 0.44), (0.038, 0.44), (0.038, 0.49), (0, 0.49)]
    label = [(0.097, 0.09), (0.0975, 0.09), (0.0975, 0.2), (0.097, 0.2)]
    return [
        lathe(outline, Material(None, gloss=0.9, mirror=0.08)),
        lathe(cap, Material((0.5, 0.42, 0.25), gloss=0.3)),
        lathe(label, Material((0.75, 0.72, 0.62))),
    ]


def _pan() -> list[Part]:
    outline = [
        (0, 0), (0.17, 0), (0.2, 0.02), (0.215, 0.1), (0.2, 0.1), (0.185, 0.03), (0, 0.025),
    ]  # fmt: skip
    return [
        lathe(outline, BODY),
        lathe([(0, 0.026), (0.18, 0.026), (0.18, 0.03), (0, 0.03)], DARK),
        tube([(0.2, 0, 0.08), (0.32, 0, 0.12), (0.47, 0, 0.13)], 0.022, DARK),
    ]


def _knife() -> list[Part]:
    blade = [(0.02, -0.03), (0.02, 0.055), (0.25, 0.055), (0.33, 0.03), (0.38, -0.02), (0.3, -0.03)]
    handle = [(-0.2, -0.02), (-0.2, 0.045), (0.03, 0.055), (0.03, -0.03)]
    return [
        hull([(x, y, z) for x, y in blade for z in (0.022, 0.03)], CHROME),
        hull([(x, y, z) for x, y in handle for z in (0.0, 0.06)], BODY),
    ]


_SHAPES: dict[str, Callable[[], list[Part]]] = {
    "mug": _mug,
    "apple": _apple,
    "kettle": _kettle,
    "bowl": _bowl,
    "plate": _plate,
    "bottle": _bottle,
    "pan": _pan,
    "knife": _knife,
}
KINDS = tuple(_SHAPES)


@cache
def shape(kind: str) -> tuple[Part, ...]:
    """The parts of an object; ``kind`` is one of `KINDS`."""
    return tuple(_SHAPES[kind]())


@cache
def arm() -> tuple[Part, ...]:
    """The parts of a hand that grips at the origin, with the forearm towards +x and up."""
    fingers = [
        tube([(0.05, y, 0.05), (-0.02, y, 0.06), (-0.06, y * 0.9, -0.03)], 0.026, SKIN)
        for y in (-0.075, -0.025, 0.025, 0.075)
    ]
    thumb = tube([(0.1, -0.07, 0.06), (0.06, -0.12, 0.0), (0.01, -0.11, -0.04)], 0.028, SKIN)
    palm = hull([(x, y, z) for x in (0.02, 0.2) for y in (-0.09, 0.09) for z in (0.03, 0.09)], SKIN)
    wrist = tube([(0.16, 0, 0.07), (0.4, 0, 0.14)], 0.06, SKIN)
    sleeve = tube([(0.36, 0, 0.13), (1.6, 0, 0.5)], 0.1, SLEEVE)
    return (*fingers, thumb, palm, wrist, sleeve)
