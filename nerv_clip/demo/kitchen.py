"""A story as files: pictures, and ``labels.json`` with what is in each."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.facts import Labels, label
from nerv_clip.demo.pool import SEEDS
from nerv_clip.demo.shading import picture
from nerv_clip.demo.story import SHORTEST, Story, write_story
from nerv_clip.demo.tracer import trace
from nerv_clip.demo.workers import workers
from nerv_clip.errors import InputError
from nerv_clip.files import cannot_write, make_folder
from nerv_clip.progress import SILENT, Progress

SIZE = (180, 320)
SAMPLES = 9  # rays a pixel
LABELS = "labels.json"


def render_kitchen(
    seed: int, frames: int, size: tuple[int, int] = SIZE, samples: int = SAMPLES
) -> Iterator[tuple[NDArray[np.uint8], Labels]]:
    """Every frame (H, W, 3) of a seed's kitchen with its labels, in order, from every core."""
    with workers() as pool:
        yield from pool.map(
            render_frame, repeat(seed), repeat(frames), range(frames), repeat(size), repeat(samples)
        )


def render_frame(
    seed: int, frames: int, frame: int, size: tuple[int, int], samples: int
) -> tuple[NDArray[np.uint8], Labels]:
    """One frame and its labels."""
    scene = write_story(seed, frames).scene(frame)
    traced = trace(scene, *size, samples)
    return picture(traced, scene), label(scene, traced.item.reshape(*size, samples))


def write_kitchen(
    out: Path,
    seed: int,
    frames: int,
    size: tuple[int, int] = SIZE,
    samples: int = SAMPLES,
    progress: Progress = SILENT,
) -> None:
    """Render a seed's kitchen into a folder: ``0000.png`` and on, and ``labels.json``.

    The folder appears once all is done. Raises `InputError` where it exists and holds something
    else, or for values that no kitchen can have.
    """
    from PIL import Image

    if frames < SHORTEST or seed < 0 or seed >= SEEDS:
        raise InputError(
            f"a kitchen has {SHORTEST} frames or more, and a seed from 0 to {SEEDS - 1:,}"
        )
    if min(size) < 16 or samples < 1 or math.isqrt(samples) ** 2 != samples:
        raise InputError("a kitchen is 16 pixels or larger, and has 1, 4, 9, 16, … rays a pixel")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / LABELS).exists())):
        raise InputError(f"{out} holds something else than a kitchen: choose another --out")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    make_folder(part)
    every: list[Labels] = []
    try:
        with progress.task("kitchen", frames, "frame") as task:
            for pixels, labels in render_kitchen(seed, frames, size, samples):
                Image.fromarray(pixels).save(part / f"{len(every):04}.png")
                every.append(labels)
                task.advance()
        content = describe(write_story(seed, frames), seed, every, size)
        (part / LABELS).write_text(json.dumps(content, indent=1) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        part.rename(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def describe(
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
                **of_frame.plain(),
                "events": [e.name for e in events if e.start <= index < e.end],
            }
            for index, of_frame in enumerate(labels)
        ],
    }


def read_labels(path: Path) -> list[Labels]:
    """The labels of every frame out of ``labels.json``; raises `InputError` for another file."""
    try:
        content = json.loads(path.read_text())
        return [Labels.from_plain(frame) for frame in content["frames"]]
    except FileNotFoundError:
        raise InputError(f"no labels at {path}: render a kitchen first") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path} cannot be read as the labels of a rendered kitchen") from None
