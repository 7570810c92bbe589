"""TensorBoard logs of a training: curves, a histogram and pictures."""

from __future__ import annotations

import errno
import io
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from nerv_clip.evaluation.results import SPLITS, Metrics
from nerv_clip.training.results import EpochResult


class EventFile:
    """A new file of TensorBoard events in a folder, which is made.

    Each event is written before `add` returns. (The ``SummaryWriter`` of PyTorch writes in a
    thread, which ends with a traceback on a full disk.) Both raise `OSError`. TensorBoard drops
    events of earlier files from the epoch ``purge`` on.
    """

    def __init__(self, folder: Path, purge: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns():019}.{socket.gethostname()}.{os.getpid()}"
        self.file = (folder / name).open("wb", buffering=0)
        self._write(file_version="brain.Event:2")
        self._write(step=purge, session_log=SessionLog(status=SessionLog.START))

    def add(self, summary: object, epoch: int) -> None:
        """Write a summary, a message of `torch.utils.tensorboard.summary`."""
        self._write(step=epoch, summary=summary)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _write(self, **content: object) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        event = Event(wall_time=time.time(), **content)
        RecordWriter(record).write(event.SerializeToString())
        if self.file.write(record.getvalue()) < len(record.getvalue()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Curves:
    """Writes the scalars, the histogram and the pictures of one training.

    ``epoch`` is the last epoch whose curves are kept; later ones, of a state that was lost, are
    dropped. Where a file cannot be written, such as on a full disk, ``message`` is called with one
    line, and nothing more is written: a training goes on without curves.
    """

    def __init__(self, folder: Path, epoch: int, message: Callable[[str], None]) -> None:
        self.message = message
        self.events: EventFile | None = None
        try:
            self.events = EventFile(folder, epoch + 1)
        except OSError as error:
            self._stop(error)

    def epoch(self, result: EpochResult) -> None:
        """Log an epoch: PSNR, learning rate, and the losses that it trained."""
        for name, value in result.row().items():
            if name not in ("epoch", "seconds") and value is not None:
                self._add("scalar", result.epoch, f"train/{name}", value)

    def evaluation(self, epoch: int, metrics: Metrics, similarity: Tensor) -> None:
        """Log an evaluation; ``similarity`` (T,) is empty without a CLIP head."""
        for split in SPLITS:
            found = metrics.of(split)
            for name in ("psnr", "ms_ssim", "clip_similarity", "dense_similarity"):
                value = getattr(found, name)
                if value is not None:
                    self._add("scalar", epoch, f"eval/{name}_{split}", value)
        if len(similarity):
            bins = torch.linspace(-1, 1, 101).tolist()
            name = "eval/clip_similarity_distribution"
            self._add("histogram", epoch, name, similarity.numpy(), bins)

    def pictures(self, epoch: int, true: Tensor, reconstructed: Tensor) -> None:
        """Log a true frame above its reconstruction, (3, H, W) each in [0, 1]."""
        both = torch.cat([true, reconstructed], 1)
        self._add("image", epoch, "eval/true_above_reconstructed", both, dataformats="CHW")

    def _add(self, kind: str, epoch: int, *values: object, **options: object) -> None:
        """Write what the function ``kind`` of PyTorch's summaries makes of the values."""
        from torch.utils.tensorboard import summary  # slow to import

        if self.events is not None:
            try:
                self.events.add(getattr(summary, kind)(*values, **options), epoch)
            except OSError as error:
                self._stop(error)

    def _stop(self, error: OSError) -> None:
        self.close()
        self.message(
            f"cannot write the curves of TensorBoard ({error.strerror}): training goes on without "
            "them"
        )

    def close(self) -> None:
        """Close the file."""
        if self.events is not None:
            self.events.close()
            self.events = None

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()
