"""The one door for pixels on their way in: a video file or a folder of images becomes a `Video`.

Decoding is in `nerv_clip.video.reader`, writing in `nerv_clip.video.writer`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from nerv_clip.errors import InputError
from nerv_clip.files import user_cache
from nerv_clip.video.reader import IMAGE_FPS, Picture, pictures

GIB = 2**30


@dataclass(frozen=True)
class VideoSpec:
    """What to read: sizes are ``(height, width)``, the range counts frames of the source.

    The centre ``crop`` comes first, then ``resize`` (bicubic, antialiased, as PIL's). ``end`` is
    exclusive. Raises `InputError` for values that no video could meet.
    """

    path: Path
    crop: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    start: int = 0
    end: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        for flag, size in (("--crop_list", self.crop), ("--resize_list", self.resize)):
            if size is not None and min(size) < 1:
                raise InputError(f"{flag} {size[0]}_{size[1]}: both sides must be at least 1")
        if self.start < 0:
            raise InputError(f"--vid_start {self.start}: give 0 or more")
        if self.step < 1:
            raise InputError(f"--vid_step {self.step}: give 1 or more")
        if self.end is not None and self.end <= self.start:
            raise InputError(
                f"--vid_end {self.end} leaves no frame: it must be above --vid_start {self.start}"
            )

    def check_reach(self, total: int) -> None:
        """Raise `InputError` where a source of ``total`` frames ends before the range does."""
        if self.start >= total or (self.end or 0) > total:
            flag = f"--vid_start {self.start}" if self.end is None else f"--vid_end {self.end}"
            raise InputError(f"{flag}: {self.path} has {total} frames")

    def keeps(self, index: int) -> bool:
        """Whether frame ``index`` of the source belongs to the video."""
        inside = index >= self.start and (self.end is None or index < self.end)
        return inside and (index - self.start) % self.step == 0


def parse_size(flag: str, text: str) -> tuple[int, int] | None:
    """``"640_1280"`` as ``(640, 1280)``, height first; ``"-1"`` as None.

    >>> parse_size("--crop_list", "640_1280")
    (640, 1280)
    """
    if text.strip() == "-1":
        return None
    try:
        height, width = (int(part) for part in text.split("_"))
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"{flag} {text!r} is not a size: give height_width, such as 640_1280")
    return height, width


class Store(Protocol):
    """Where a video's frames are."""

    def read(self, indices: list[int]) -> Tensor:
        """The frames at some indices, uint8 (B, 3, H, W)."""


class _Memory:
    """Frames in memory: one tensor on the device, or a tensor each where they were decoded."""

    def __init__(self) -> None:
        self.frames: list[Tensor] | Tensor = []

    def read(self, indices: list[int]) -> Tensor:
        return torch.stack([self.frames[i] for i in indices])


class _Disk:
    """Frames in one raw file that has no name: it is gone whenever the process is."""

    def __init__(self, folder: Path, shape: torch.Size) -> None:
        self.folder, self.shape = folder, shape
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as problem:
            raise self._refusal(problem) from None

    def append(self, frame: Tensor) -> None:
        left = frame.numpy().data.cast("B")
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError as problem:
            self.file.close()
            raise self._refusal(problem) from None

    def read(self, indices: list[int]) -> Tensor:
        """Plain reads at an offset: a memory map would count as the process's own memory."""
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
            "space, raise --cache_gb, or set XDG_CACHE_HOME to another disk"
        )


class Video:
    """Every frame of a video as uint8 RGB, in memory or on disk; made by `load_video`.

    ``frames``, ``height`` and ``width`` count frames and pixels; ``timestamps`` are the frames'
    seconds in the source; ``fps`` is their mean rate; ``hash`` names the pixels and the shape
    (SHA-256, hex); ``device`` is where `read` puts frames.
    """

    def __init__(
        self,
        store: Store,
        shape: tuple[int, int, int],
        timestamps: tuple[float, ...],
        digest: str,
        device: torch.device,
    ) -> None:
        self.frames, self.height, self.width = shape
        self.timestamps = timestamps
        self.fps = _mean_rate(timestamps)
        self.hash = digest
        self.device = device
        self._store = store

    @property
    def streamed(self) -> bool:
        """Whether the frames are read from disk, because they exceed ``cache_gb``."""
        return isinstance(self._store, _Disk)

    def __len__(self) -> int:
        return self.frames

    def read(self, indices: Sequence[int] | Tensor) -> Tensor:
        """The frames at ``indices`` (0 … frames − 1, any order): uint8 (B, 3, H, W) on `device`."""
        wanted = [int(i) for i in indices]
        for index in wanted:
            if not 0 <= index < self.frames:
                raise IndexError(f"frame {index} of a video of {self.frames}")
        if not wanted:
            shape = (0, 3, self.height, self.width)
            return torch.empty(shape, dtype=torch.uint8, device=self.device)
        return self._store.read(wanted).to(self.device)


def load_video(
    spec: VideoSpec,
    *,
    cache_gb: float = 4.0,
    cache_dir: Path | None = None,
    device: str | torch.device = "cpu",
    progress: bool = True,
) -> Video:
    """Decode what ``spec`` names, a video file or a folder of images in natural order.

    Rotation and mirroring metadata are applied, transparency is dropped, greys become RGB. Up to
    ``cache_gb`` GiB of pixels stay in memory, on ``device`` where that fits; more are streamed
    from a nameless file in ``cache_dir`` (default: nerv_clip in the user's cache folder), with
    the same pixels. Raises `InputError` for whatever cannot be read whole.
    """
    if not cache_gb >= 0:
        raise InputError(f"--cache_gb {cache_gb}: give 0 or more")
    digest = hashlib.sha256()
    store: _Memory | _Disk = _Memory()
    times: list[float] = []
    with tqdm(desc=f"reading {spec.path.name}", unit="frame", delay=2, disable=not progress) as bar:
        for picture, frame in _kept(spec):
            if picture.expected and not spec.start and not spec.end:
                bar.total = -(-picture.expected // spec.step)
            if isinstance(store, _Memory) and (len(times) + 1) * frame.nbytes > cache_gb * GIB:
                store = _spill(store, cache_dir or user_cache(), frame.shape)
            (store.frames if isinstance(store, _Memory) else store).append(frame)  # type: ignore[union-attr]
            digest.update(frame.numpy().data)
            times.append(picture.time)
            bar.update()
    shape = (len(times), frame.shape[1], frame.shape[2])
    digest.update(repr(shape).encode())
    target = torch.device(device)
    if isinstance(store, _Memory) and target.type == "cuda":
        _move(store, target)
    return Video(store, shape, tuple(times), digest.hexdigest(), target)


def _spill(memory: _Memory, folder: Path, shape: torch.Size) -> _Disk:
    disk = _Disk(folder, shape)
    for frame in memory.frames:
        disk.append(frame)
    return disk


def _move(store: _Memory, device: torch.device) -> None:
    """Onto the GPU where at most half of its free memory is taken; the rest is for training."""
    need = len(store.frames) * store.frames[0].nbytes
    if need <= torch.cuda.mem_get_info(device)[0] // 2:
        moved = torch.empty(
            (len(store.frames), *store.frames[0].shape), dtype=torch.uint8, device=device
        )
        for row, frame in zip(moved, store.frames, strict=True):
            row.copy_(frame)
        store.frames = moved


def _mean_rate(times: tuple[float, ...]) -> float:
    span = times[-1] - times[0]
    return (len(times) - 1) / span if span > 0 else IMAGE_FPS


def _kept(spec: VideoSpec) -> Iterator[tuple[Picture, Tensor]]:
    """The pictures of the range, each with its frame: uint8 (3, H, W), cropped and resized."""
    first: tuple[int, ...] | None = None
    total = 0
    for index, picture in enumerate(pictures(spec.path)):
        total = index + 1
        first = first or picture.pixels.shape
        if picture.pixels.shape != first:
            raise InputError(
                f"{spec.path}: frame {index} is {picture.pixels.shape[0]}x"
                f"{picture.pixels.shape[1]} (height x width), those before it are "
                f"{first[0]}x{first[1]}: all must have one size"
            )
        if spec.keeps(index):
            yield picture, fit(picture.pixels, spec)
        if index + 1 == spec.end:
            return
    spec.check_reach(total)


def fit(pixels: NDArray[np.uint8], spec: VideoSpec) -> Tensor:
    """A picture as a spec wants it: centre crop, then resize; uint8 (H, W, 3) to (3, h, w)."""
    if spec.crop is not None:
        (height, width), (rows, columns) = spec.crop, pixels.shape[:2]
        if height > rows or width > columns:
            raise InputError(
                f"--crop_list {height}_{width} is larger than the frames, {rows}x{columns}"
            )
        top, left = (rows - height) // 2, (columns - width) // 2
        pixels = pixels[top : top + height, left : left + width]
    frame = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
    if spec.resize is None or spec.resize == tuple(frame.shape[1:]):
        return frame.contiguous()
    resized = F.interpolate(frame[None].float(), spec.resize, mode="bicubic", antialias=True)[0]
    return resized.clamp(0, 255).round().byte()
