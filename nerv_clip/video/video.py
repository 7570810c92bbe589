"""Read a video: a file or a folder of images becomes a `Video`, the only source of pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.files import user_cache
from nerv_clip.progress import SILENT, Progress
from nerv_clip.video.cuts import CutFinder
from nerv_clip.video.frame_store import (
    DiskStore,
    FrameStore,
    MemoryStore,
    PartStore,
    StillStore,
)
from nerv_clip.video.picture import IMAGE_FPS, Picture
from nerv_clip.video.reader import pictures
from nerv_clip.video.shots import Shots, check_increasing
from nerv_clip.video.source_map import SourceMap
from nerv_clip.video.spec import VideoSpec

GIB = 2**30
BESIDE = GIB  # bytes of frames that are kept in memory beside those of the video


class Video:
    """All frames of a video as uint8 RGB, in memory or on disk; made by `load_video`.

    Attributes: ``spec``, what was read; ``frames``, their number; ``height`` and ``width`` in
    pixels; ``timestamps``, each frame's seconds since the first frame of the source; ``origin``,
    what the source's own clock shows at its first frame, in seconds; ``fps``, the mean rate;
    ``shots``, the stretches between cuts; ``source_map``, from places in a frame to pixels of the
    source, None for a video without a source, and for images that are turned differently;
    ``hash``, SHA-256 in hex of the pixels and the shape; ``device``, where `read` puts frames.
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
        source_map: SourceMap | None = None,
    ) -> None:
        self.spec = spec
        self.frames, self.height, self.width = shape
        self.timestamps = timestamps
        self.origin = origin
        self.shots = shots or Shots(self.frames)
        self.source_map = source_map
        self.fps = _mean_rate(timestamps)
        self.hash = digest
        self.device = device
        self._store = store

    @property
    def streamed(self) -> bool:
        """Whether the frames are read from disk, because they exceed ``cache_gb``."""
        return self._store.on_disk

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
            self.source_map,
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


def still_video(frame: Tensor, frames: int, shots: Shots | None = None) -> Video:
    """A video that shows ``frame``, uint8 (3, H, W), in all of its ``frames`` frames."""
    shape = (frames, int(frame.shape[1]), int(frame.shape[2]))
    times = tuple(i / IMAGE_FPS for i in range(frames))
    store, spec = StillStore(frame), VideoSpec(Path())
    return Video(spec, store, shape, times, "", frame.device, shots=shots)


def frame_store(like: Video) -> MemoryStore | DiskStore:
    """An empty store for as many frames as a video has, on disk if they exceed `BESIDE`."""
    if like.streamed or 3 * like.frames * like.height * like.width > BESIDE:
        return DiskStore(user_cache(), torch.Size((3, like.height, like.width)))
    return MemoryStore()


def load_video(
    source: VideoSpec | Path | str,
    *,
    shots: Literal["auto", "off"] | Sequence[int] = "auto",
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
    ``cache_dir`` (default: nerv_clip in the user's cache folder), with the same pixels.

    ``shots`` are found in all pictures of the range, also in those that ``step`` leaves out
    (``"auto"``, see `CutFinder`); or the video is one shot (``"off"``); or they are given, by the
    indices of their first pictures in the source, increasing from 0 whatever the range is. A shot
    begins with the first frame that is read of it. Raises `InputError` for whatever cannot be read
    whole, and for shots beyond the end of the source.
    """
    if not cache_gb >= 0:
        raise InputError(f"`cache_gb` {cache_gb}: give 0 or more")
    spec = source if isinstance(source, VideoSpec) else VideoSpec(Path(source))
    given = checked_shots(shots)
    finder = CutFinder() if isinstance(shots, str) and shots == "auto" else None
    digest = hashlib.sha256()
    store: MemoryStore | DiskStore = MemoryStore()
    times: list[float] = []
    maps: set[SourceMap] = set()
    kept = _kept(spec, finder, given)
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
            maps.add(picture.source)
            task.advance()
    shape = (len(times), frame.shape[1], frame.shape[2])
    digest.update(repr(shape).encode())
    target = torch.device(device)
    if isinstance(store, MemoryStore) and target.type == "cuda":
        store.move(target)
    origin = first[0].origin
    if finder is not None:
        given = [spec.start + cut for cut in finder.finish()]
    parts = shots_read(given, spec, len(times))
    source_map = _source_map(first[0], spec) if len(maps) == 1 else None
    return Video(
        spec, store, shape, tuple(times), digest.hexdigest(), target, origin, parts, source_map
    )


def shots_read(firsts: Sequence[int], spec: VideoSpec, frames: int) -> Shots:
    """The shots of the ``frames`` that are read of a source.

    ``firsts`` are the first pictures of the shots in the source, increasing. A shot begins with the
    first frame read at or after its first picture. Shots of which no frame is read are left out.

    >>> shots_read([0, 10, 11, 30], VideoSpec(Path("v.mp4"), start=4, end=28, step=4), 6)
    Shots(frames=6, firsts=(0, 2))
    """
    read = (-(-(first - spec.start) // spec.step) for first in firsts if first > spec.start)
    return Shots(frames, tuple(sorted({0, *(frame for frame in read if frame < frames)})))


def checked_shots(shots: Literal["auto", "off"] | Sequence[int]) -> list[int]:
    """The given first pictures of shots, [0] if none are.

    Raises `InputError` for indices that are negative or do not increase.
    """
    if isinstance(shots, str):
        if shots not in ("auto", "off"):
            raise InputError(f"`shots` {shots!r}: give auto, off, or the first frame of each shot")
        return [0]
    firsts = [int(first) for first in shots]
    if firsts and firsts[0] < 0:
        raise InputError(f"`shots`: {firsts[0]} is no frame: they are counted from 0")
    check_increasing(firsts)
    return firsts or [0]


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


def _kept(
    spec: VideoSpec, finder: CutFinder | None, shots: Sequence[int]
) -> Iterator[tuple[Picture, Tensor]]:
    """The pictures of the range, each with its frame: uint8 (3, H, W), cropped and resized.

    At least one. The ``finder`` sees all pictures of the range. Raises `InputError` where the range
    or the source is empty, and where ``shots`` begin after its end.
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
        if finder is not None and index >= spec.start:
            finder.add(picture.pixels)
        if spec.keeps(index):
            yield picture, fit(picture.pixels, spec)
        if index + 1 == spec.end:  # the rest is not decoded; the container may say how much it is
            total = max(picture.expected, total) if picture.expected else shots[-1] + 1
            break
    spec.check_reach(total)
    if shots[-1] >= total:
        raise InputError(
            f"`shots`: a shot starts at frame {shots[-1]}, but {spec.path} has only {total} frames"
        )


def fit(pixels: NDArray[np.uint8], spec: VideoSpec) -> Tensor:
    """Crop, then resize a picture: uint8 (H, W, 3) to (3, h, w)."""
    if spec.crop is not None:
        (height, width), (rows, columns) = spec.crop, pixels.shape[:2]
        if height > rows or width > columns:
            raise InputError(f"`crop` {height}_{width} is larger than the frames, {rows}x{columns}")
        top, left = _corner(spec.crop, rows, columns)
        pixels = pixels[top : top + height, left : left + width]
    frame = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(2, 0, 1)
    if spec.resize is None or spec.resize == tuple(frame.shape[1:]):
        return frame.contiguous()
    resized = F.interpolate(frame[None].float(), spec.resize, mode="bicubic", antialias=True)[0]
    return resized.clamp(0, 255).round().byte()


def _corner(crop: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    """The first row and column of a centre crop."""
    return (rows - crop[0]) // 2, (columns - crop[1]) // 2


def _source_map(picture: Picture, spec: VideoSpec) -> SourceMap:
    """From places in the frames to pixels of the source; a resize keeps the places."""
    if spec.crop is None:
        return picture.source
    (height, width), (rows, columns) = spec.crop, picture.pixels.shape[:2]
    top, left = _corner(spec.crop, rows, columns)
    return picture.source.part(left / columns, top / rows, width / columns, height / rows)
