"""What a training shows while it runs: a progress bar, summary lines, TensorBoard's curves."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from nerv_clip.training.trainer import EpochResult, Step


class Terminal:
    """Lines and bars on stderr of the first process; silent on the others."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, line: str) -> None:
        """One line, above any bar."""
        if not self.quiet:
            tqdm.write(line, file=sys.stderr)

    @contextmanager
    def bar(self, total: int, label: str, unit: str, done: int = 0) -> Iterator[tqdm[Any]]:
        """A bar that is shown if the work takes over two seconds."""
        with tqdm(
            total=total,
            initial=done,
            desc=label,
            unit=unit,
            disable=self.quiet,
            delay=2,
            dynamic_ncols=True,
            leave=False,
        ) as bar:
            yield bar

    def start(self, total: int, label: str) -> Callable[[int], object]:
        """Like `bar`, for what tells of its steps and not of its end: it closes after the last."""
        bar = tqdm(
            total=total, desc=label, disable=self.quiet, delay=2, dynamic_ncols=True, leave=False
        )

        def notice(steps: int) -> None:
            bar.update(steps)
            if bar.n >= total:
                bar.close()

        return notice


def show_step(bar: tqdm[Any], step: Step) -> None:
    """Move the training bar on by a step."""
    bar.set_description(f"epoch {step.epoch + 1}", refresh=False)
    bar.set_postfix(psnr=f"{step.psnr:.2f} dB", refresh=False)
    bar.update()


def evaluation_line(label: str, summary: dict[str, Any]) -> str:
    """The one line that an evaluation prints."""
    parts = [f"{label}:"]
    for name in ("train", "val"):
        figures = summary[name]
        if figures["psnr"] is None:
            continue
        text = f"{'seen' if name == 'train' else 'held out'} {figures['psnr']:.2f} dB"
        if figures["ms_ssim"] is not None:
            text += f" / MS-SSIM {figures['ms_ssim']:.4f}"
        if figures["clip_similarity"] is not None:
            text += f" / CLIP {figures['clip_similarity']:.4f}"
        if figures["teacher_similarity"] is not None:
            text += f" / teacher on the reconstruction {figures['teacher_similarity']:.4f}"
        if name == "val" and figures["blend_psnr"] is not None:
            text += f" (blend of the train neighbours {figures['blend_psnr']:.2f} dB)"
        parts.append(text)
    parts.append(f"{summary['bytes'] / 1e6:.2f} MB, {summary['decoded_fps']:.1f} frames/s decoded")
    return " | ".join([parts[0] + " " + parts[1], *parts[2:]])


class Curves:
    """TensorBoard's scalars, histogram and pictures under the tags of the design."""

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        """``epoch`` is the last that is kept of an interrupted run's curves."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.writer: Any = SummaryWriter(str(folder), purge_step=epoch + 1)

    def epoch(self, result: EpochResult) -> None:
        """The losses of an epoch."""
        self.writer.add_scalar("train/pixel_loss", result.pixel_loss, result.epoch)
        if result.clip_loss is not None:
            self.writer.add_scalar("train/clip_loss", result.clip_loss, result.epoch)
        self.writer.add_scalar("train/total_loss", result.total_loss, result.epoch)
        self.writer.add_scalar("train/psnr", result.psnr, result.epoch)
        self.writer.add_scalar("train/lr", result.lr, result.epoch)

    def evaluation(self, epoch: int, summary: dict[str, Any], similarity: Tensor) -> None:
        """The figures of an evaluation; ``similarity`` (T,) is empty without a CLIP head."""
        for name in ("all", "train", "val"):
            for figure in ("psnr", "ms_ssim", "clip_similarity"):
                value = summary[name][figure]
                if value is not None:
                    self.writer.add_scalar(f"eval/{figure}_{name}", value, epoch)
        if len(similarity):
            self.writer.add_histogram("eval/clip_similarity_distribution", similarity, epoch)

    def pictures(self, epoch: int, true: Tensor, reconstructed: Tensor) -> None:
        """A true frame above its reconstruction, (3, H, W) each in [0, 1]."""
        self.writer.add_image(
            "eval/true_above_reconstructed", torch.cat([true, reconstructed], 1), epoch
        )

    def flush(self) -> None:
        """Write what a killed process would lose."""
        self.writer.flush()

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *error: object) -> None:
        """Flush, and write no more."""
        self.writer.close()


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Collect Ctrl-C and SIGTERM in a list instead of raising, so that a step can finish.

    A second Ctrl-C raises at once.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    previous = {s: signal.signal(s, note) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
