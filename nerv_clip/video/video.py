"""Read a video: a file or a folder of images becomes a `Video`, the only source of pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.files import user_cache
from nerv_clip.progress import SILENT, Progress
from nerv_clip.video.frame_store import DiskStore, FrameStore, MemoryStore, PartStore
from nerv_clip.video.picture import IMAGE_FPS, Picture
from nerv_clip.video.reader import pictures
from nerv_clip.video.shots import Shots
from nerv_clip.video.spec import VideoSpec

GIB = 2**30


class Video:
    """All frames of a video as uint8 RGB, in memory or on disk; made by `load_video`.

    Attributes: ``spec``, what was read; ``frames``, their number; ``height`` and ``width`` in
    pixels; ``timestamps``, each frame's seconds since the first frame of the source; ``origin``,
    what the source's own clock shows at its first frame, in seconds; ``fps``, the mean rate;
    ``shots``, the stretches between cuts; ``hash``, SHA-256 in hex of the pixels and the shape;
    ``device``, where `read` puts frames.
    """

    def __init__(
        self,
        spec: VideoSpec,
        store: FrameStore,
        shape: tuple[int, int, int],
        timestamps: tuple[float, ...],
        digest: str,
        device: torch.device,
        origin: float = 0.0,
        shots: Shots | None = None,
    ) -> None:
        self.spec = spec
        self.frames, self.height, self.width = shape
        self.timestamps = timestamps
        self.origin = origin
        self.shots = shots or Shots(self.frames)
        self.fps = _mean_rate(timestamps)
        self.hash = digest
        self.device = device
        self._store = store

    @property
    def streamed(self) -> bool:
        """Whether the frames are read from disk, because they exceed ``cache_gb``."""
        return isinstance(self._store, DiskStore)

    def __len__(self) -> int:
        return self.frames

    def part(self, first: int, after: int) -> Video:
        """The frames from ``first`` to before ``after`` as a video; its pixels are not copied.

        `hash` and `origin` are those of the whole.
        """
        if (first, after) == (0, self.frames):
            return self
        return Video(
            self.spec,
            PartStore(self._store, first),
            (after - first, self.height, self.width),
            self.timestamps[first:after],
            self.hash,
            self.device,
            self.origin,
            self.shots.part(first, after),
        )

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
    source: VideoSpec | Path | str,
    *,
    cache_gb: float = 4.0,
    cache_dir: Path | None = None,
    device: str | torch.device = "cpu",
    progress: Progress = SILENT,
) -> Video:
    """Decode a video file, or a folder of images in natural order.

    ``source`` is a path, or a `VideoSpec` with a crop, a size or a range. Rotation, mirroring and
    the shape of pixels are applied, transparency is dropped, grey becomes RGB. HDR is not
    tone-mapped, and both fields of an interlaced frame stay in one picture. Up to ``cache_gb`` GiB
    of pixels stay in memory (on ``device`` where they fit). More are kept in a temporary file in
    ``cache_dir`` (default: nerv_clip in the user's cache folder), with the same pixels. Raises
    `InputError` for whatever cannot be read whole.
    """
    if not cache_gb >= 0:
        raise InputError(f"`cache_gb` {cache_gb}: give 0 or more")
    spec = source if isinstance(source, VideoSpec) else VideoSpec(Path(source))
    digest = hashlib.sha256()
    store: MemoryStore | DiskStore = MemoryStore()
    times: list[float] = []
    kept = _kept(spec)
    first = next(kept)  # with it comes the expected number
    if first[0].skipped:
        progress.message(
            f"{spec.path.name}: the first {first[0].skipped} frames could not be decoded and are "
            "left out"
        )
    with progress.task(f"reading {spec.path.name}", _expected(first[0], spec), "frame") as task:
        for picture, frame in chain([first], kept):
            if isinstance(store, MemoryStore) and (len(times) + 1) * frame.nbytes > cache_gb * GIB:
                store = _spill(store, cache_dir or user_cache(), frame.shape)
            store.append(frame)
            digest.update(frame.numpy().data)
            times.append(picture.time)
            task.advance()
    shape = (len(times), frame.shape[1], frame.shape[2])
    digest.update(repr(shape).encode())
    target = torch.device(device)
    if isinstance(store, MemoryStore) and target.type == "cuda":
        store.move(target)
    origin = first[0].origin
    return Video(spec, store, shape, tuple(times), digest.hexdigest(), target, origin)


def _expected(picture: Picture, spec: VideoSpec) -> int | None:
    """About how many frames there will be, where the whole source is read."""
    if picture.expected is None or spec.start or spec.end:
        return None
    return -(-picture.expected // spec.step)


def _spill(memory: MemoryStore, folder: Path, shape: torch.Size) -> DiskStore:
    disk = DiskStore(folder, shape)
    for frame in memory.frames:
        disk.append(frame)
    return disk


def _mean_rate(times: tuple[float, ...]) -> float:
    span = times[-1] - times[0]
    return (len(times) - 1) / span if span > 0 else IMAGE_FPS


def _kept(spec: VideoSpec) -> Iterator[tuple[Picture, Tensor]]:
    """The pictures of the range, each with its frame: uint8 (3, H, W), cropped and resized.

    At least one; raises `InputError` where the range or the source is empty.
    """
    first: tuple[int, ...] | None = None
    total = 0
    for index, picture in enumerate(pictures(spec.path, spec.stream)):
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
    """Crop, then resize a picture: uint8 (H, W, 3) to (3, h, w)."""
    if spec.crop is not None:
        (height, width), (rows, columns) = spec.crop, pixels.shape[:2]
        if height > rows or width > columns:
            raise InputError(f"`crop` {height}_{width} is larger than the frames, {rows}x{columns}")
        top, left = (rows - height) // 2, (columns - width) // 2
        pixels = pixels[top : top + height, left : left + width]
    frame = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
    if spec.resize is None or spec.resize == tuple(frame.shape[1:]):
        return frame.contiguous()
    resized = F.interpolate(frame[None].float(), spec.resize, mode="bicubic", antialias=True)[0]
    return resized.clamp(0, 255).round().byte()
