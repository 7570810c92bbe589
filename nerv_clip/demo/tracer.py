"""Ray tracing with Embree: the surfaces that rays hit, and the lights that reach them.

Tracing is the slow half of rendering. `nerv_clip.demo.shading` computes the colours, so that one
tracing can be coloured several times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo import room
from nerv_clip.demo.scene import Camera, Light, Scene
from nerv_clip.demo.shapes import Array, Material
from nerv_clip.errors import InputError

if TYPE_CHECKING:
    from embreex.rtcore_scene import EmbreeScene

Indices = NDArray[np.int32]
SUN = (1.5, -2.2, 2.2)  # position of the daylight; x is multiplied by `Light.side`
SUN_RADIUS, LAMP_RADIUS = 0.55, 0.1
LAMP = np.array(room.LAMP, np.float32) - np.array([0, 0, 0.05], np.float32)
OFFSET = 1e-3  # moves the start of secondary rays off the surface
PACKAGES = ("trimesh", "embreex")


@dataclass(frozen=True)
class Traced:
    """The ray hits of one picture.

    N = height · width · samples; the samples of a pixel are adjacent. ``materials`` holds the
    material of each slot with the index of its item, or `room.ROOM`.
    """

    height: int
    width: int
    samples: int
    position: Array  # (N, 3)
    normal: Array  # (N, 3), unit, towards the camera
    ray: Array  # (N, 3), unit direction from the camera
    distance: Array  # (N,) from the camera
    slot: Indices  # (N,) index into ``materials``
    owner: Indices  # (N,) index of the item, `room.ROOM` or `room.HAND`
    sun: Array  # (N,) share of the daylight that arrives, in [0, 1]
    lamp: Array  # (N,) share of the lamp's light
    ambient: Array  # (N,) share of the ambient light
    mirror: Indices  # (N,) slot hit by the mirrored ray, -1 for none
    mirror_position: Array  # (N, 3)
    materials: tuple[tuple[Material, int], ...]
    eye: Array  # (3,) position of the camera

    @property
    def owner_map(self) -> Indices:
        """``owner`` by pixel, (height, width, samples)."""
        return self.owner.reshape(self.height, self.width, self.samples)


@cache
def require_renderer() -> None:
    """Raise `InputError` if a package that rendering needs is not installed."""
    for package in PACKAGES:
        if find_spec(package) is None:
            note = " (embreex has no wheel for Linux on ARM)" if package == "embreex" else ""
            raise InputError(
                f"rendering needs the package {package}, which is not installed: "
                f"pip install {package}{note}"
            )


def trace(scene: Scene, height: int, width: int, samples: int) -> Traced:
    """Trace ``samples`` rays a pixel, a square number, and from their hits on to the lights.

    Raises `InputError` if Embree is not installed.
    """
    require_renderer()
    vertices, normals, faces, slots, owners, materials = _geometry(scene)
    triangles = vertices[faces]
    embree = _embree_scene(triangles)
    eye, ray = _rays(scene.camera, height, width, samples)
    hit = embree.run(np.broadcast_to(eye, ray.shape).copy(), ray, output=True)
    face, u, v = hit["primID"], hit["u"][:, None], hit["v"][:, None]
    missed = face < 0
    face = np.where(missed, 0, face)
    distance = np.where(missed, 20.0, hit["tfar"]).astype(np.float32)
    position = eye + ray * distance[:, None]
    corner = normals[faces[face]]
    normal = corner[:, 0] * (1 - u - v) + corner[:, 1] * u + corner[:, 2] * v
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    flat = _face_normals(triangles)[face]
    flat *= -np.sign(np.einsum("ij,ij->i", flat, ray))[:, None]
    normal *= np.where(np.einsum("ij,ij->i", normal, flat) < 0, -1, 1)[:, None].astype(np.float32)
    start = position + flat * OFFSET

    number = _sample_numbers(height, width, samples)
    arriving = []
    for centre, radius, (a, b) in (
        (sun(scene.light), SUN_RADIUS, number[0:2]),
        (LAMP, LAMP_RADIUS, number[2:4]),
    ):
        target = centre + radius * np.stack([2 * a - 1, 2 * b - 1, np.zeros_like(a)], 1)
        arriving.append(_smoothed(~_blocked(embree, start, target - start, 0.97), height, width))
    outward = _hemisphere(flat, number[4], number[5]) * 0.55
    mirrored = ray - 2 * np.einsum("ij,ij->i", ray, normal)[:, None] * normal
    reflective = np.array([m.mirror > 0 for m, _ in materials])[slots[face]]
    mirror, mirror_position = _mirror(embree, start, mirrored, reflective, slots)
    return Traced(
        height, width, samples, position, normal, ray, distance,
        slots[face], owners[face], arriving[0], arriving[1],
        _smoothed(~_blocked(embree, start, outward, 1.0), height, width),
        mirror, mirror_position, materials, eye,
    )  # fmt: skip


def _geometry(
    scene: Scene,
) -> tuple[Array, Array, Indices, Indices, Indices, tuple[tuple[Material, int], ...]]:
    vertices, normals, faces, slots, owners = [], [], [], [], []
    materials: dict[tuple[Material, int], int] = {}
    count = 0
    for part, item in room.parts(scene):
        key = (part.material, item if part.material.colour is None else room.ROOM)
        slot = materials.setdefault(key, len(materials))
        vertices.append(part.vertices)
        normals.append(part.normals)
        faces.append(part.faces + count)
        slots.append(np.full(len(part.faces), slot, np.int32))
        owners.append(np.full(len(part.faces), item, np.int32))
        count += len(part.vertices)
    return (
        np.concatenate(vertices),
        np.concatenate(normals),
        np.concatenate(faces),
        np.concatenate(slots),
        np.concatenate(owners),
        tuple(materials),
    )


def _embree_scene(triangles: Array) -> EmbreeScene:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    embree = EmbreeScene()
    TriangleMesh(embree, np.ascontiguousarray(triangles))
    return embree


def _face_normals(triangles: Array) -> Array:
    """Unit normals (F, 3) of triangles (F, 3, 3)."""
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normals: Array = (normal / np.maximum(length, 1e-12)).astype(np.float32)
    return normals


def _rays(camera: Camera, height: int, width: int, samples: int) -> tuple[Array, Array]:
    side = math.isqrt(samples)
    eye = np.array(camera.eye, np.float32)
    ahead = np.array(camera.target, np.float32) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    scale = math.tan(math.radians(camera.field_of_view) / 2)
    within = (np.arange(side) + 0.5) / side
    rows = (1 - 2 * (np.arange(height)[:, None] + within).ravel() / height) * scale
    columns = (2 * (np.arange(width)[:, None] + within).ravel() / width - 1) * scale * 16 / 9
    rows = np.broadcast_to(rows.reshape(height, 1, side, 1), (height, width, side, side))
    columns = np.broadcast_to(columns.reshape(1, width, 1, side), (height, width, side, side))
    ray = ahead + columns.reshape(-1, 1) * right + rows.reshape(-1, 1) * up
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return eye, np.ascontiguousarray(ray, np.float32)


def _sample_numbers(height: int, width: int, samples: int) -> Array:
    """Six low-discrepancy sequences in [0, 1) over the samples of each pixel, (6, N).

    They are the same in every picture, so that the noise of a video does not flicker.
    """
    start = np.random.default_rng(0).random((6, height * width, 1))
    steps = np.array([0.7549, 0.5698, 0.8192, 0.6711, 0.5497, 0.8567])
    number = (start + steps[:, None, None] * np.arange(samples)) % 1
    flat: Array = number.reshape(6, -1).astype(np.float32)
    return flat


def _hemisphere(normal: Array, a: Array, b: Array) -> Array:
    """Cosine-weighted unit directions around normals (N, 3), from numbers in [0, 1)."""
    z, angle = 2 * a - 1, 2 * math.pi * b
    flat = np.sqrt(np.maximum(0, 1 - z * z))
    ball = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], 1)
    directions: Array = (normal + 0.99 * ball).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions


def _blocked(embree: EmbreeScene, origin: Array, path: Array, share: float) -> NDArray[np.bool_]:
    """Whether a surface lies within the first ``share`` of the path (N, 3) from each origin."""
    path = np.ascontiguousarray(path, np.float32)
    length = np.linalg.norm(path, axis=1)
    hit = embree.run(
        np.ascontiguousarray(origin, np.float32), path / length[:, None], dists=length * share,
        query="OCCLUDED",
    )  # fmt: skip
    blocked: NDArray[np.bool_] = hit >= 0
    return blocked


def _mirror(
    embree: EmbreeScene, origin: Array, direction: Array, where: NDArray[np.bool_], slots: Indices
) -> tuple[Indices, Array]:
    """Slot and position that mirrored rays hit, computed for the hits in ``where`` only."""
    slot = np.full(len(origin), -1, np.int32)
    position = np.zeros_like(origin)
    if where.any():
        start = np.ascontiguousarray(origin[where], np.float32)
        direction = np.ascontiguousarray(direction[where], np.float32)
        hit = embree.run(start, direction, output=True)
        face = hit["primID"]
        slot[where] = np.where(face < 0, -1, slots[np.maximum(face, 0)])
        far = np.where(face < 0, 0, hit["tfar"]).astype(np.float32)
        position[where] = start + direction * far[:, None]
    return slot, position


def _smoothed(free: NDArray[np.bool_], height: int, width: int) -> Array:
    """Share of unblocked rays in each pixel, averaged over 3x3 pixels to reduce noise: (N,)."""
    from scipy.ndimage import uniform_filter

    share = free.reshape(height, width, -1).mean(2, dtype=np.float32)
    smooth: Array = uniform_filter(share, 3, mode="nearest")
    return np.repeat(smooth.ravel(), free.size // smooth.size)


def sun(light: Light) -> Array:
    """Position of the daylight, (3,)."""
    return np.array([SUN[0] * light.side, *SUN[1:]], np.float32)
