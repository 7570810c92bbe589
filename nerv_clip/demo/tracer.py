"""A scene as a picture: rays by Embree, light and colour by NumPy.

A picture is made in two steps, so that one tracing serves many colourings: `trace` finds what
every ray meets and which lights reach it; `shade` gives that colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo import room
from nerv_clip.demo.scene import COLOURS, Camera, Light, Scene
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


def render(scene: Scene, height: int, width: int, samples: int = 16) -> NDArray[np.uint8]:
    """A picture, (height, width, 3); ``samples`` rays a pixel, a square number."""
    return picture(trace(scene, height, width, samples), scene)


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
        (_sun(scene.light), SUN_RADIUS, number[0:2]),
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


def _sun(light: Light) -> Array:
    return np.array([SUN[0] * light.side, *SUN[1:]], np.float32)


# --- colours ---------------------------------------------------------------------------------


def picture(traced: Traced, scene: Scene) -> NDArray[np.uint8]:
    """The picture of a traced scene, (height, width, 3), with the colours and light of ``scene``.

    ``scene`` may differ from the one that was traced in colours, in how strong lights are, and in
    its steam.
    """
    light = shade(traced, scene)
    light = _steam(traced, scene, light)
    light = light.reshape(traced.height * traced.width, traced.samples, 3)
    shown = _tone(light).mean(1).reshape(traced.height, traced.width, 3)
    pixels: NDArray[np.uint8] = (shown * 255 + 0.5).astype(np.uint8)
    return pixels


def shade(traced: Traced, scene: Scene) -> Array:
    """The light (N, 3) that comes back along each ray."""
    light, (sun, lamp, around) = scene.light, _strengths(scene.light)
    base, glow, gloss, mirror = _surfaces(traced.materials, scene)
    albedo = base[traced.slot]
    albedo = _textured(traced, scene, albedo, traced.slot, traced.position)
    received = around * (0.35 + 0.65 * traced.open[:, None])
    shine = np.zeros(len(albedo), np.float32)
    for centre, strength, reached in (
        (_sun(light), sun, traced.sun),
        (LAMP, lamp, traced.lamp),
    ):
        way = centre - traced.position
        square = np.einsum("ij,ij->i", way, way)
        way /= np.sqrt(square)[:, None]
        facing = np.maximum(np.einsum("ij,ij->i", traced.normal, way), 0) * reached
        near = 1.0 if centre[1] < -1 else 1 / (0.35 + square)  # the sun does not grow weaker
        received = received + (facing * near)[:, None] * strength
        half = way - traced.ray
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        lit = np.maximum(np.einsum("ij,ij->i", half, traced.normal), 0) ** 60
        shine += lit * reached * near * float(strength.mean())
    seen = albedo * received + (gloss[traced.slot] * shine)[:, None] * 0.9
    seen += albedo * glow[traced.slot, None]
    reflecting = traced.mirror >= 0
    if reflecting.any():
        slot = traced.mirror[reflecting]
        other = _textured(traced, scene, base[slot], slot, traced.mirror_position[reflecting])
        other = other * (around * 0.8 + 0.25 * sun + 0.3 * lamp + glow[slot, None])
        slant = 1 + np.einsum("ij,ij->i", traced.ray, traced.normal)[reflecting]
        share = mirror[traced.slot[reflecting]] + 0.4 * np.maximum(slant, 0) ** 4
        seen[reflecting] += other * np.minimum(share, 0.8)[:, None]
    out: Array = seen.astype(np.float32)
    return out


def _strengths(light: Light) -> tuple[Array, Array, Array]:
    """Sun, lamp and surroundings as linear RGB."""
    day = np.array([1.0, 0.95, 0.86]) * (0.85 * light.day)
    lamp = np.array([1.0, 0.72, 0.42]) * (0.8 * light.lamp)
    around = (
        np.array([0.5, 0.56, 0.62]) * (0.33 * light.day)
        + np.array([0.4, 0.29, 0.19]) * (0.55 * light.lamp)
        + np.array([0.14, 0.155, 0.22])  # a night is dark, not black
    ) * light.ambient
    day, lamp = day * light.strength, lamp * light.strength
    return day.astype(np.float32), lamp.astype(np.float32), around.astype(np.float32)


def _surfaces(materials: tuple[tuple[Material, int], ...], scene: Scene) -> tuple[Array, ...]:
    base, glow = [], []
    for material, item in materials:
        colour = material.colour or COLOURS[scene.items[item].colour]
        base.append(colour)
        strength = material.glow
        if material.texture == "shade":
            strength = 1.3 * scene.light.lamp
        elif material.texture == "bulb":
            strength = 4 * scene.light.lamp
        glow.append(strength)
    return (
        np.array(base, np.float32),
        np.array(glow, np.float32),
        np.array([m.gloss for m, _ in materials], np.float32),
        np.array([m.mirror for m, _ in materials], np.float32),
    )


def _textured(traced: Traced, scene: Scene, albedo: Array, slot: Indices, position: Array) -> Array:
    albedo = albedo.copy()
    for index, (material, _) in enumerate(traced.materials):
        if material.texture in _TEXTURES:
            where = slot == index
            if where.any():
                p = position[where]
                albedo[where] = _TEXTURES[material.texture](albedo[where], p, scene)
    return albedo


def _wood(albedo: Array, p: Array, scene: Scene) -> Array:
    seed = scene.look.seed % 17
    plank = np.floor(p[:, 1] * 4.5 + 0.3)
    grain = np.sin(p[:, 1] * 160 + 3 * np.sin(p[:, 0] * 4 + plank * 2.3 + seed) + plank)
    broad = np.sin(p[:, 0] * 2.2 + plank * 5.1 + seed) + np.sin(p[:, 1] * 31 + p[:, 0] * 3)
    seam = np.abs((p[:, 1] * 4.5 + 0.3) % 1 - 0.5) > 0.485
    tone = (1 + 0.09 * grain + 0.09 * broad) * np.where(seam, 0.6, 1)
    out: Array = albedo * tone[:, None]
    return out


def _marble(albedo: Array, p: Array, scene: Scene) -> Array:
    seed = scene.look.seed % 13
    wave = p[:, 0] * 3 + p[:, 1] * 2 + np.sin(p[:, 1] * 7 + seed) + 0.5 * np.sin(p[:, 0] * 13)
    vein = np.exp(-((np.sin(wave * 2.1) / 0.12) ** 2))
    tone = 1 - 0.35 * vein + 0.05 * np.sin(wave * 5)
    out: Array = albedo * tone.astype(np.float32)[:, None]
    return out


def _tiles(albedo: Array, p: Array, scene: Scene) -> Array:
    row = np.floor(p[:, 2] / 0.14)
    along = p[:, 0] / 0.28 + 0.5 * (row % 2)
    grout = ((p[:, 2] / 0.14) % 1 < 0.07) | (along % 1 < 0.035)
    tone = 1 + 0.07 * np.sin(np.floor(along) * 12.99 + row * 78.2 + scene.look.seed)
    out: Array = albedo * np.where(grout, 0.62, tone)[:, None]
    return out


def _plaster(albedo: Array, p: Array, scene: Scene) -> Array:
    rough = np.sin(p[:, 0] * 9 + 2 * np.sin(p[:, 2] * 7)) * np.sin(p[:, 2] * 11 + p[:, 0])
    out: Array = albedo * (1 + 0.03 * rough)[:, None]
    return out


def _doors(albedo: Array, p: Array, scene: Scene) -> Array:
    gap = ((p[:, 0] / 0.63) % 1 < 0.02) | (np.abs(p[:, 2] + 0.32) < 0.008)
    out: Array = albedo * np.where(gap, 0.35, 1.0)[:, None]
    return out


def _cloth(albedo: Array, p: Array, scene: Scene) -> Array:
    stripe = (p[:, 2] * 12) % 1 < 0.3
    out: Array = albedo * np.where(stripe, 0.55, 1.0)[:, None]
    return out


def _sky(albedo: Array, p: Array, scene: Scene) -> Array:
    """What the window shows: hills under a bright sky, or the moon and stars."""
    left, right, low, high = room.WINDOW
    x, z = (p[:, 0] - left) / (right - left), (p[:, 2] - low) / (high - low)
    day = scene.light.day
    blend = z[:, None]
    noon = np.array([0.75, 0.9, 1.0]) * (1 - blend) + np.array([0.25, 0.5, 1.0]) * blend
    cloud = np.sin(x * 9 + 1.3) + np.sin(x * 5 + z * 9) + np.sin(z * 17 + 2)
    noon = noon + 0.35 * np.clip(cloud - 0.9, 0, 1)[:, None]
    night = np.array([0.03, 0.045, 0.11]) * (1.2 - 0.7 * blend)
    moon = (x - 0.76) ** 2 + ((z - 0.66) * 0.8) ** 2 < 0.0055
    stars = (np.sin(x * 91.7) * np.sin(z * 71.3) * np.sin((x + z) * 53)) > 0.86
    night = np.where(moon[:, None], [1.0, 0.96, 0.8], night + 0.5 * stars[:, None])
    hill = z < 0.25 + 0.09 * np.sin(x * 7 + 0.5) + 0.05 * np.sin(x * 15)
    field = np.array([0.16, 0.34, 0.08]) * day + np.array([0.008, 0.014, 0.02]) * (1 - day)
    sky = np.where(hill[:, None], field, noon * day + night * (1 - day))
    out: Array = sky.astype(np.float32)
    return out


_TEXTURES = {
    "wood": _wood,
    "marble": _marble,
    "tiles": _tiles,
    "plaster": _plaster,
    "doors": _doors,
    "cloth": _cloth,
    "sky": _sky,
}


def _steam(traced: Traced, scene: Scene, light: Array) -> Array:
    """White puffs in front of what the rays meet, Gaussian in their distance from the ray."""
    _, lamp, around = _strengths(scene.light)
    white = 1.1 * around + 0.25 * lamp + 0.12
    for centre, radius, density in room.steam_puffs(scene):
        way = centre - traced.eye
        along = traced.ray @ way
        aside = way @ way - along * along
        near = (aside < 9 * radius * radius) & (along < traced.distance)
        cover = density * np.exp(-aside[near] / (radius * radius))
        light[near] = light[near] * (1 - cover[:, None]) + white * cover[:, None]
    return light


def _tone(light: Array) -> Array:
    """Linear light to display values in [0, 1]: a soft shoulder, then sRGB's curve."""
    shown = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    shown = np.clip(shown, 0, 1)
    curve: Array = np.where(shown < 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
    return curve
