"""Render kitchens that the demo encoder was not trained on, and train a network on each.

A seed's video is FOLDER/videos/SEED.mp4, encoded by x264 at CRF 12; its run is FOLDER/SEED, with
the renderer's ``labels.json`` beside the checkpoint. The same command goes on where it was stopped.
Other scripts measure these runs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nerv_clip import InputError
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.demo import write_kitchen
from nerv_clip.demo.kitchen import LABELS, MASKS
from nerv_clip.files import atomic_write
from nerv_clip.progress import Progress

FRAMES, SIZE, SAMPLES = 300, (90, 160), 4
FLAGS = (
    "--clip_model demo --predict_clip --data_split 3_3_4 --modelsize 0.25 -e 20 --preset fast"
    " --bits 8 --eval_freq 20 --pixel_loss_warmup_epochs 4 --overwrite"
)
ROOT = Path(__file__).parents[1]


def seeds(text: str) -> list[int]:
    """The seeds of a range such as ``101-130``, both ends included."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def encode(
    frames: Iterable[NDArray[np.uint8]],
    out: Path,
    rate: int = 25,
    crf: int = 12,
    speed: str = "slow",
) -> None:
    """Write frames of one size, (H, W, 3) each, as an H.264 video; ``speed`` is x264's preset."""
    with atomic_write(out) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.options = {"crf": f"{crf}", "preset": speed}
        for pixels in frames:
            if not stream.codec_context.is_open:
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def rendered(kitchen: Path) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a rendered kitchen."""
    for path in sorted(kitchen.glob("*.png")):
        yield np.asarray(Image.open(path).convert("RGB"))


def render(wanted: Iterable[int], folder: Path, progress: Progress) -> None:
    """Render and encode the kitchens that the folder does not have."""
    for seed in wanted:
        video = folder / "videos" / f"{seed}.mp4"
        if not (video.exists() and (video.with_suffix("") / MASKS).exists()):
            progress.message(f"kitchen {seed}")
            write_kitchen(video.with_suffix(""), seed, FRAMES, SIZE, SAMPLES, progress, masks=True)
            encode(rendered(video.with_suffix("")), video)


def train(seed: int, folder: Path, flags: list[str], videos: Path | None = None) -> None:
    """Train a network on the kitchen of a seed, unless its run is finished.

    ``videos`` is where the kitchens are, by default in the folder.
    """
    videos, run = videos or folder / "videos", folder / str(seed)
    if (run / LABELS).exists():
        return
    paths = ["--data_path", str(videos / f"{seed}.mp4"), "--outf", str(run)]
    done = subprocess.run(
        [sys.executable, "train/train_nerv_clip.py", *paths, *FLAGS.split(), *flags],
        cwd=ROOT,
        env={"OMP_NUM_THREADS": "1", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InputError(f"the training of seed {seed} failed: {done.stderr[-500:]}")
    for name in ("model_latest.pth", "comparison.mp4", "baselines.npz"):  # not measured here
        (run / name).unlink(missing_ok=True)
    shutil.rmtree(run / "logs", ignore_errors=True)
    for name in (MASKS, LABELS):
        shutil.copy(videos / str(seed) / name, run)


def main(argv: list[str]) -> None:
    """Render the kitchens on all cores, then train ``--jobs`` networks at once."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"Further flags are added to those of training: {FLAGS}"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=seeds, default=seeds("101-122"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    args, flags = parser.parse_known_args(argv)
    folder, progress = args.folder.resolve(), Terminal()
    render(args.seeds, folder, progress)
    with (
        progress.task("training", len(args.seeds), "run") as task,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        for _ in pool.map(lambda seed: train(seed, folder, flags), args.seeds):
            task.advance()


if __name__ == "__main__":
    main_guard(main)
