"""What the rays of a picture meet, and which lights reach it there: by Embree.

The slow half of a picture; `nerv_clip.demo.shading` gives it colours, so that one tracing serves
many colourings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo import room
from nerv_clip.demo.scene import Camera, Light, Scene
from nerv_clip.demo.shapes import Array, Material

if TYPE_CHECKING:
    from embreex.rtcore_scene import EmbreeScene

Indices = NDArray[np.int32]
SUN = (1.5, -2.2, 2.2)  # daylight falls in from behind the camera; x is that of `Light.side`
SUN_RADIUS, LAMP_RADIUS = 0.55, 0.1
LAMP = np.array(room.LAMP, np.float32) - np.array([0, 0, 0.05], np.float32)
NEAR = 1e-3


@dataclass(frozen=True)
class Traced:
    """What the rays of one picture meet: N = height · width · samples, of a pixel side by side."""

    height: int
    width: int
    samples: int
    position: Array  # (N, 3)
    normal: Array  # (N, 3), towards the viewer
    ray: Array  # (N, 3), the unit direction of looking
    distance: Array  # (N,)
    slot: Indices  # (N,) which material of which item
    item: Indices  # (N,)
    sun: Array  # (N,) 1 where the daylight reaches
    lamp: Array  # (N,)
    open: Array  # (N,) 1 where the surroundings' light reaches
    mirror: Indices  # (N,) slot that a mirrored ray meets
    mirror_position: Array  # (N, 3)
    materials: tuple[tuple[Material, int], ...]  # of each slot: the material, and the item
    eye: Array


def trace(scene: Scene, height: int, width: int, samples: int) -> Traced:
    """Follow ``samples`` rays a pixel to what they meet, and from there to the lights."""
    vertices, normals, faces, slots, owners, materials = _geometry(scene)
    triangles = vertices[faces]
    engine = _engine(triangles)
    eye, ray = _rays(scene.camera, height, width, samples)
    met = engine.run(np.broadcast_to(eye, ray.shape).copy(), ray, output=True)
    face, u, v = met["primID"], met["u"][:, None], met["v"][:, None]
    missed = face < 0
    face = np.where(missed, 0, face)
    distance = np.where(missed, 20.0, met["tfar"]).astype(np.float32)
    position = eye + ray * distance[:, None]
    corner = normals[faces[face]]
    normal = corner[:, 0] * (1 - u - v) + corner[:, 1] * u + corner[:, 2] * v
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    flat = _flat(triangles)[face]
    flat *= -np.sign(np.einsum("ij,ij->i", flat, ray))[:, None]
    normal *= np.where(np.einsum("ij,ij->i", normal, flat) < 0, -1, 1)[:, None].astype(np.float32)
    away = position + flat * NEAR

    number = _numbers(height, width, samples)
    reached = []
    for centre, radius, (a, b) in (
        (sun(scene.light), SUN_RADIUS, number[0:2]),
        (LAMP, LAMP_RADIUS, number[2:4]),
    ):
        spot = centre + radius * np.stack([2 * a - 1, 2 * b - 1, np.zeros_like(a)], 1)
        reached.append(_evened(~_blocked(engine, away, spot - away, 0.97), height, width))
    around = _hemisphere(flat, number[4], number[5]) * 0.55
    mirrored = ray - 2 * np.einsum("ij,ij->i", ray, normal)[:, None] * normal
    reflective = np.array([m.mirror > 0 for m, _ in materials])[slots[face]]
    mirror, mirror_position = _mirror(engine, away, mirrored, reflective, slots)
    return Traced(
        height, width, samples, position, normal, ray, distance,
        slots[face], owners[face], reached[0], reached[1],
        _evened(~_blocked(engine, away, around, 1.0), height, width),
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


def _engine(triangles: Array) -> EmbreeScene:
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    engine = EmbreeScene()
    TriangleMesh(engine, np.ascontiguousarray(triangles))
    return engine


def _flat(triangles: Array) -> Array:
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    flat: Array = (normal / np.maximum(length, 1e-12)).astype(np.float32)
    return flat


def _rays(camera: Camera, height: int, width: int, samples: int) -> tuple[Array, Array]:
    side = math.isqrt(samples)
    eye = np.array(camera.eye, np.float32)
    ahead = np.array(camera.target, np.float32) - eye
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    scale = math.tan(math.radians(camera.opening) / 2)
    within = (np.arange(side) + 0.5) / side
    rows = (1 - 2 * (np.arange(height)[:, None] + within).ravel() / height) * scale
    columns = (2 * (np.arange(width)[:, None] + within).ravel() / width - 1) * scale * 16 / 9
    rows = np.broadcast_to(rows.reshape(height, 1, side, 1), (height, width, side, side))
    columns = np.broadcast_to(columns.reshape(1, width, 1, side), (height, width, side, side))
    ray = ahead + columns.reshape(-1, 1) * right + rows.reshape(-1, 1) * up
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return eye, np.ascontiguousarray(ray, np.float32)


def _numbers(height: int, width: int, samples: int) -> Array:
    """Six sequences in [0, 1), even over the samples of a pixel and the same in every picture."""
    start = np.random.default_rng(0).random((6, height * width, 1))
    steps = np.array([0.7549, 0.5698, 0.8192, 0.6711, 0.5497, 0.8567])  # irrational enough
    number = (start + steps[:, None, None] * np.arange(samples)) % 1
    flat: Array = number.reshape(6, -1).astype(np.float32)
    return flat


def _hemisphere(normal: Array, a: Array, b: Array) -> Array:
    """Directions around a normal, more of them near it (by the cosine)."""
    z, angle = 2 * a - 1, 2 * math.pi * b
    flat = np.sqrt(np.maximum(0, 1 - z * z))
    ball = np.stack([flat * np.cos(angle), flat * np.sin(angle), z], 1)
    around: Array = (normal + 0.99 * ball).astype(np.float32)
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    return around


def _blocked(engine: EmbreeScene, origin: Array, way: Array, share: float) -> NDArray[np.bool_]:
    """Whether something stands within ``share`` of the way from each origin."""
    way = np.ascontiguousarray(way, np.float32)
    length = np.linalg.norm(way, axis=1)
    met = engine.run(
        np.ascontiguousarray(origin, np.float32), way / length[:, None], dists=length * share,
        query="OCCLUDED",
    )  # fmt: skip
    blocked: NDArray[np.bool_] = met >= 0
    return blocked


def _mirror(
    engine: EmbreeScene, origin: Array, way: Array, where: NDArray[np.bool_], slots: Indices
) -> tuple[Indices, Array]:
    slot = np.full(len(origin), -1, np.int32)
    position = np.zeros_like(origin)
    if where.any():
        start = np.ascontiguousarray(origin[where], np.float32)
        way = np.ascontiguousarray(way[where], np.float32)
        met = engine.run(start, way, output=True)
        face = met["primID"]
        slot[where] = np.where(face < 0, -1, slots[np.maximum(face, 0)])
        far = np.where(face < 0, 0, met["tfar"]).astype(np.float32)
        position[where] = start + way * far[:, None]
    return slot, position


def _evened(free: NDArray[np.bool_], height: int, width: int) -> Array:
    """Shares of rays that get through, evened over neighbouring pixels: few rays are grainy."""
    from scipy.ndimage import uniform_filter

    share = free.reshape(height, width, -1).mean(2, dtype=np.float32)
    even: Array = uniform_filter(share, 3, mode="nearest")
    return np.repeat(even.ravel(), free.size // even.size)


def sun(light: Light) -> Array:
    """Where the daylight comes from, (3,)."""
    return np.array([SUN[0] * light.side, *SUN[1:]], np.float32)
