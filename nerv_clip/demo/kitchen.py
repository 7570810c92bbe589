"""A rendered kitchen as files: pictures, ``labels.json`` with their labels, and masks."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.facts import Labels, label, mask_of
from nerv_clip.demo.pool import SEEDS
from nerv_clip.demo.shading import picture
from nerv_clip.demo.story import MIN_FRAMES, Story, make_story
from nerv_clip.demo.tracer import require_renderer, trace
from nerv_clip.demo.workers import workers
from nerv_clip.errors import InputError
from nerv_clip.files import cannot_write, exclusive, make_folder
from nerv_clip.progress import SILENT, Progress

SIZE = (180, 320)  # height and width in pixels
SAMPLES = 9  # rays a pixel
MIN_SIDE = 16  # pixels
LABELS, MASKS = "labels.json", "masks.npz"


class Rendered(NamedTuple):
    """A frame: ``pixels`` (H, W, 3), its labels, and its ``mask`` (H, W), see `mask_of`."""

    pixels: NDArray[np.uint8]
    labels: Labels
    mask: NDArray[np.uint8]


def render_kitchen(
    seed: int, frames: int, size: tuple[int, int] = SIZE, samples: int = SAMPLES
) -> Iterator[Rendered]:
    """Render every frame of a seed's kitchen, in order, on all cores.

    ``size`` is (height, width) in pixels, ``samples`` the number of rays a pixel.
    """
    with workers() as pool:
        yield from pool.map(
            render_frame, repeat(seed), repeat(frames), range(frames), repeat(size), repeat(samples)
        )


def render_frame(
    seed: int, frames: int, frame: int, size: tuple[int, int], samples: int
) -> Rendered:
    """Render one frame of a kitchen of ``frames`` frames."""
    scene = make_story(seed, frames).scene(frame)
    traced = trace(scene, *size, samples)
    owners = traced.owner_map
    return Rendered(picture(traced, scene), label(scene, owners), mask_of(scene, owners))


def write_kitchen(
    out: Path,
    seed: int,
    frames: int,
    size: tuple[int, int] = SIZE,
    samples: int = SAMPLES,
    progress: Progress = SILENT,
    *,
    masks: bool = False,
) -> None:
    """Render a seed's kitchen into a folder: ``0000.png``, ``0001.png``, … and ``labels.json``.

    ``size`` is (height, width) in pixels, ``samples`` the number of rays a pixel, a square number.
    With ``masks``, ``masks.npz`` is written as well: an array ``masks`` (frames, H, W) of
    `mask_of`. The folder is written when all frames are done, and replaces an earlier kitchen.
    Raises `InputError` for a value out of range, if the folder holds other files, and if a package
    that rendering needs is not installed.
    """
    if frames < MIN_FRAMES:
        raise InputError(f"`frames` {frames} is out of range: give {MIN_FRAMES} frames or more")
    if not 0 <= seed < SEEDS:
        raise InputError(f"`seed` {seed} is out of range: 0 to {SEEDS - 1}")
    if min(size) < MIN_SIDE:
        raise InputError(f"`size` {size[0]}x{size[1]} is too small: at least {MIN_SIDE} pixels")
    if samples < 1 or math.isqrt(samples) ** 2 != samples:
        raise InputError(f"`samples` {samples}: give a square number of rays a pixel: 1, 4, 9, …")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / LABELS).exists())):
        raise InputError(f"{out} holds files but no kitchen: choose another folder (`out`)")
    require_renderer()
    make_folder(out.parent)
    with exclusive(out):
        _write_kitchen(out, seed, frames, size, samples, progress, masks)


def _write_kitchen(
    out: Path,
    seed: int,
    frames: int,
    size: tuple[int, int],
    samples: int,
    progress: Progress,
    masks: bool,
) -> None:
    from PIL import Image

    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    all_labels: list[Labels] = []
    all_masks: list[NDArray[np.uint8]] = []
    try:
        with progress.task("kitchen", frames, "frame") as task:
            for frame in render_kitchen(seed, frames, size, samples):
                Image.fromarray(frame.pixels).save(part / f"{len(all_labels):04}.png")
                all_labels.append(frame.labels)
                if masks:
                    all_masks.append(frame.mask)
                task.advance()
        if masks:
            np.savez_compressed(part / MASKS, masks=np.stack(all_masks))
        content = labels_json(make_story(seed, frames), seed, all_labels, size)
        (part / LABELS).write_text(json.dumps(content, indent=1) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        part.rename(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def labels_json(
    story: Story, seed: int, labels: list[Labels], size: tuple[int, int]
) -> dict[str, Any]:
    """The content of ``labels.json``."""
    events = story.events()
    return {
        "seed": seed,
        "height": size[0],
        "width": size[1],
        "events": [{"name": e.name, "start": e.start, "end": e.end} for e in events],
        "frames": [
            {
                "frame": index,
                **of_frame.to_json(),
                "events": [e.name for e in events if e.start <= index < e.end],
            }
            for index, of_frame in enumerate(labels)
        ],
    }


def read_labels(path: Path) -> list[Labels]:
    """Read the labels of every frame from ``labels.json``; raises `InputError` for other files."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [Labels.from_json(frame) for frame in content["frames"]]
    except FileNotFoundError:
        raise InputError(f"no labels at {path}: render a kitchen first") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path} cannot be read as the labels of a rendered kitchen") from None
