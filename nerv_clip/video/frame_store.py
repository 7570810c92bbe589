"""Where a video's decoded frames are kept: in memory, or in one file on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from nerv_clip.errors import InputError


class FrameStore(Protocol):
    """Frames that can be read by index; ``on_disk`` says where they are."""

    @property
    def on_disk(self) -> bool:
        """Whether frames are read from disk."""

    def read(self, indices: list[int]) -> Tensor:
        """The frames at ``indices``: uint8 (B, 3, H, W)."""


class PartStore:
    """The frames of another store from ``first`` on."""

    def __init__(self, store: FrameStore, first: int) -> None:
        self.store, self.first, self.on_disk = store, first, store.on_disk

    def read(self, indices: list[int]) -> Tensor:
        """The frames at ``indices``, counted from ``first``: uint8 (B, 3, H, W)."""
        return self.store.read([self.first + i for i in indices])


class StillStore:
    """The same frame at every index: a step takes as long with it as with a real video."""

    on_disk = False

    def __init__(self, frame: Tensor) -> None:
        self.frame = frame

    def read(self, indices: list[int]) -> Tensor:
        """The frame, repeated: uint8 (B, 3, H, W)."""
        return self.frame[None].repeat(len(indices), 1, 1, 1)


class MemoryStore:
    """Frames in memory: a list of tensors (3, H, W) while reading, then perhaps one GPU tensor."""

    on_disk = False

    def __init__(self) -> None:
        self.frames: list[Tensor] | Tensor = []

    def append(self, frame: Tensor) -> None:
        """Add a frame, uint8 (3, H, W)."""
        assert isinstance(self.frames, list)  # noqa: S101 - appended to while reading only
        self.frames.append(frame)

    def read(self, indices: list[int]) -> Tensor:
        """The frames at ``indices``: uint8 (B, 3, H, W)."""
        return torch.stack([self.frames[i] for i in indices])

    def move(self, device: torch.device) -> None:
        """Copy the frames to a GPU if they take at most half of its free memory.

        The other half is for training.
        """
        need = len(self.frames) * self.frames[0].nbytes
        if need <= torch.cuda.mem_get_info(device)[0] // 2:
            shape = (len(self.frames), *self.frames[0].shape)
            on_gpu = torch.empty(shape, dtype=torch.uint8, device=device)
            for row, frame in zip(on_gpu, self.frames, strict=True):
                row.copy_(frame)
            self.frames = on_gpu


class DiskStore:
    """Frames in one raw file without a name, which disappears with the process.

    ``shape`` is a frame's (3, H, W). Raises `InputError` where the folder or disk does not allow
    it.
    """

    on_disk = True

    def __init__(self, folder: Path, shape: torch.Size) -> None:
        self.folder, self.shape = folder, shape
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as problem:
            raise self._refusal(problem) from None

    def append(self, frame: Tensor) -> None:
        """Write a frame, uint8 (3, H, W), to the end of the file."""
        left = frame.numpy().data.cast("B")
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as problem:
            self.file.close()
            raise self._refusal(problem) from None

    def read(self, indices: list[int]) -> Tensor:
        """The frames at ``indices``: uint8 (B, 3, H, W).

        Read at an offset, not memory-mapped: a map would count as memory of the process.
        """
        out = torch.empty((len(indices), *self.shape), dtype=torch.uint8)
        size = self.shape.numel()
        for row, index in zip(out, indices, strict=True):
            left, at = row.numpy().data.cast("B"), index * size
            while left:
                got = os.preadv(self.file.fileno(), [left], at)
                if got == 0:
                    raise OSError(f"the frame cache in {self.folder} ended early")
                left, at = left[got:], at + got
        return out

    def _refusal(self, problem: OSError) -> InputError:
        return InputError(
            f"cannot keep the decoded frames in {self.folder} ({problem.strerror}): free some "
            "space, raise `cache_gb`, or set XDG_CACHE_HOME to another disk"
        )
