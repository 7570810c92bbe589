"""Small trainings by the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from train.train_nerv_clip import main

CLIP_FLAGS = ["--predict_clip", "--clip_dim", "16", "--pixel_loss_warmup_epochs", "2"]


def flags(video_file: Path, *more: str) -> list[str]:
    tiny = ["--modelsize", "0.05", "--lower_width", "4", "-e", "4", "-b", "2", "--eval_freq", "2"]
    return ["--data_path", str(video_file), "--data_split", "2_2_3", "--outf", "run", *tiny, *more]


def train(video_file: Path, *more: str) -> Path:
    """Train a run below ``output/`` of the working directory; returns ``output/run``."""
    main(flags(video_file, *more))
    return Path("output/run")


def own(state: dict[str, Any]) -> dict[str, Any]:
    """The state of the only segment."""
    segment: dict[str, Any] = state["segments"][0]
    return segment
