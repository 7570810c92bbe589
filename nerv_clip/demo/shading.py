"""Colours of a traced scene, with NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo import room
from nerv_clip.demo.scene import COLOURS, Light, Scene
from nerv_clip.demo.shapes import Array, Material
from nerv_clip.demo.tracer import LAMP, Indices, Traced, sun, trace


def render(scene: Scene, height: int, width: int, samples: int = 16) -> NDArray[np.uint8]:
    """A picture (height, width, 3) of a scene, with ``samples`` rays a pixel, a square number.

    Raises `InputError` if Embree is not installed.
    """
    return picture(trace(scene, height, width, samples), scene)


def picture(traced: Traced, scene: Scene) -> NDArray[np.uint8]:
    """The picture (height, width, 3) of a traced scene, with the colours and lights of ``scene``.

    ``scene`` may differ from the traced one in its colours, the brightness of its lights, and its
    steam.
    """
    light = shade(traced, scene)
    light = _with_steam(traced, scene, light)
    light = light.reshape(traced.height * traced.width, traced.samples, 3)
    shown = _tone_mapped(light).mean(1).reshape(traced.height, traced.width, 3)
    pixels: NDArray[np.uint8] = (shown * 255 + 0.5).astype(np.uint8)
    return pixels


def shade(traced: Traced, scene: Scene) -> Array:
    """The linear light (N, 3) that reaches the camera along each ray."""
    light, (daylight, lamp, ambient) = scene.light, _light_colours(scene.light)
    base, glow, gloss, mirror = _surfaces(traced.materials, scene)
    albedo = base[traced.slot]
    albedo = _textured(traced, scene, albedo, traced.slot, traced.position)
    received = ambient * (0.35 + 0.65 * traced.ambient[:, None])
    shine = np.zeros(len(albedo), np.float32)
    for centre, strength, arriving in (
        (sun(light), daylight, traced.sun),
        (LAMP, lamp, traced.lamp),
    ):
        path = centre - traced.position
        square = np.einsum("ij,ij->i", path, path)
        path /= np.sqrt(square)[:, None]
        facing = np.maximum(np.einsum("ij,ij->i", traced.normal, path), 0) * arriving
        falloff = 1.0 if centre[1] < -1 else 1 / (0.35 + square)  # none for the sun
        received = received + (facing * falloff)[:, None] * strength
        half = path - traced.ray  # Blinn-Phong highlights
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        highlight = np.maximum(np.einsum("ij,ij->i", half, traced.normal), 0) ** 60
        shine += highlight * arriving * falloff * float(strength.mean())
    radiance = albedo * received + (gloss[traced.slot] * shine)[:, None] * 0.9
    radiance += albedo * glow[traced.slot, None]
    reflecting = traced.mirror >= 0
    if reflecting.any():
        slot = traced.mirror[reflecting]
        reflected = _textured(traced, scene, base[slot], slot, traced.mirror_position[reflecting])
        reflected = reflected * (ambient * 0.8 + 0.25 * daylight + 0.3 * lamp + glow[slot, None])
        slant = 1 + np.einsum("ij,ij->i", traced.ray, traced.normal)[reflecting]
        share = mirror[traced.slot[reflecting]] + 0.4 * np.maximum(slant, 0) ** 4
        radiance[reflecting] += reflected * np.minimum(share, 0.8)[:, None]
    out: Array = radiance.astype(np.float32)
    return out


def _light_colours(light: Light) -> tuple[Array, Array, Array]:
    """Daylight, lamp and ambient light as linear RGB, (3,) each."""
    day = np.array([1.0, 0.95, 0.86]) * (0.85 * light.day)
    lamp = np.array([1.0, 0.72, 0.42]) * (0.8 * light.lamp)
    ambient = (
        np.array([0.5, 0.56, 0.62]) * (0.33 * light.day)
        + np.array([0.4, 0.29, 0.19]) * (0.55 * light.lamp)
        + np.array([0.14, 0.155, 0.22])  # at night, too
    ) * light.ambient
    day, lamp = day * light.strength, lamp * light.strength
    return day.astype(np.float32), lamp.astype(np.float32), ambient.astype(np.float32)


def _surfaces(materials: tuple[tuple[Material, int], ...], scene: Scene) -> tuple[Array, ...]:
    """Colour (S, 3), glow, gloss and mirror (S,) of each slot."""
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
    seed = scene.decor.seed % 17
    plank = np.floor(p[:, 1] * 4.5 + 0.3)
    grain = np.sin(p[:, 1] * 160 + 3 * np.sin(p[:, 0] * 4 + plank * 2.3 + seed) + plank)
    broad = np.sin(p[:, 0] * 2.2 + plank * 5.1 + seed) + np.sin(p[:, 1] * 31 + p[:, 0] * 3)
    seam = np.abs((p[:, 1] * 4.5 + 0.3) % 1 - 0.5) > 0.485
    tone = (1 + 0.09 * grain + 0.09 * broad) * np.where(seam, 0.6, 1)
    out: Array = albedo * tone[:, None]
    return out


def _marble(albedo: Array, p: Array, scene: Scene) -> Array:
    seed = scene.decor.seed % 13
    wave = p[:, 0] * 3 + p[:, 1] * 2 + np.sin(p[:, 1] * 7 + seed) + 0.5 * np.sin(p[:, 0] * 13)
    vein = np.exp(-((np.sin(wave * 2.1) / 0.12) ** 2))
    tone = 1 - 0.35 * vein + 0.05 * np.sin(wave * 5)
    out: Array = albedo * tone.astype(np.float32)[:, None]
    return out


def _tiles(albedo: Array, p: Array, scene: Scene) -> Array:
    row = np.floor(p[:, 2] / 0.14)
    along = p[:, 0] / 0.28 + 0.5 * (row % 2)
    grout = ((p[:, 2] / 0.14) % 1 < 0.07) | (along % 1 < 0.035)
    tone = 1 + 0.07 * np.sin(np.floor(along) * 12.99 + row * 78.2 + scene.decor.seed)
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
    """The view through the window: hills under a bright sky, or the moon and stars."""
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


def _with_steam(traced: Traced, scene: Scene, light: Array) -> Array:
    """The light with puffs of steam in front; opacity is Gaussian in the distance to the ray."""
    _, lamp, ambient = _light_colours(scene.light)
    white = 1.1 * ambient + 0.25 * lamp + 0.12
    for centre, radius, density in room.steam_puffs(scene):
        path = centre - traced.eye
        along = traced.ray @ path
        aside = path @ path - along * along  # squared distance to the ray
        near = (aside < 9 * radius * radius) & (along < traced.distance)
        cover = density * np.exp(-aside[near] / (radius * radius))
        light[near] = light[near] * (1 - cover[:, None]) + white * cover[:, None]
    return light


def _tone_mapped(light: Array) -> Array:
    """Linear light as display values in [0, 1]: a filmic curve, then sRGB's transfer function."""
    shown = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    shown = np.clip(shown, 0, 1)
    curve: Array = np.where(shown < 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
    return curve
