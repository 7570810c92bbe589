"""Decode a stream of a video file: which stream, which of its frames, when, and in what shape.

A stream is judged by its own packets and frames, not by FFmpeg's log, which all threads of a
process share. What decoders cannot notice stays unnoticed: HEVC and VP8 have no checksums, so a
changed bit mostly gives another picture without an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.video.container import missing_bytes
from nerv_clip.video.packets import (
    Packet,
    expected_times,
    is_damaged,
    joins,
    leading_frames,
    packets_from,
    read_packets,
)
from nerv_clip.video.picture import IMAGE_FPS, Picture, check_size, turned
from nerv_clip.video.source_map import SourceMap

# playlists, which name other files or addresses, and text, which FFmpeg would draw as a terminal
NO_VIDEOS = frozenset({"concat", "dash", "hls", "rtsp", "sdp", "tty", "webm_dash_manifest"})
OPTIONS = {
    "format_whitelist": ",".join(av.formats_available - NO_VIDEOS),
    "default_fps": "10",  # of an animated PNG whose delays are 0, as in browsers
}
MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})  # of ISO/IEC 23091-2; FFmpeg converts no others
# by codec: a second decoder, which refuses most changed bits that FFmpeg's own decodes silently
STRICT_DECODERS = {"vp9": "libvpx-vp9"}
SKIP = 30
MAX_STRETCH = 10  # a pixel's sides; a file that says more is wrong


def decode_video(path: Path, number: int | None = None) -> Iterator[Picture]:
    """All pictures of a video stream, upright and with square pixels.

    ``number`` counts the file's video streams from 0; None takes FFmpeg's choice. Frames before
    the first key frame that decodes are skipped and counted, as at the start of a recording.
    Raises `InputError` where a later frame is missing or damaged, where the file ends early or is
    no regular file, and where there is no such stream.
    """
    if not path.is_file():  # opening a pipe would wait for its writer
        raise InputError(f"{path} is not a regular file: give a video file, or a folder of images")
    with _reading(path):
        lacking = missing_bytes(path)
        if lacking:
            raise _damaged(path, f"its last {lacking:,} bytes are missing")
        with _opened(path) as container:
            packets = read_packets(container, _stream(container, path, number))
        with _opened(path) as container:
            yield from _pictures(container, _stream(container, path, number), packets, path)


def decode_runs(
    path: Path, number: int | None, shares: Sequence[float], length: int
) -> Iterator[list[NDArray[np.uint8]]]:
    """Runs of ``length`` consecutive pictures, about at ``shares`` in [0, 1] of the stream.

    From the key frame before, at most `SKIP` pictures are decoded in vain. A run that was there,
    and one that cannot be decoded, is left out; so are all of a file of unknown length. ``number``
    and errors as in `decode_video`.
    """
    with _reading(path), _opened(path) as container:
        stream = _stream(container, path, number)
        stream.thread_type = "AUTO"
        base, stretch = stream.time_base or Fraction(1), _stretch(stream)
        seconds = Fraction(container.duration or 0, av.time_base)
        begun: set[int | None] = set()
        for share in shares if seconds else ():
            target = (stream.start_time or 0) + int(Fraction(share) * seconds / base)
            try:
                container.seek(target, stream=stream)
                decoded = enumerate(container.decode(stream))
                wanted = (f for i, f in decoded if i >= SKIP or (f.pts or 0) >= target)
                frames = list(islice(wanted, length))
            except (av.error.FFmpegError, OSError):
                continue
            if len(frames) == length and frames[0].pts not in begun:
                begun.add(frames[0].pts)
                yield [_upright(frame, stretch)[0] for frame in frames]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Whatever fails while a file is read is one `InputError`."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise _damaged(path, error.strerror or str(error)) from None


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    # "file:": a name such as 12:30:05.mp4 is not an address
    with av.open(f"file:{path}", options=OPTIONS, metadata_errors="replace") as container:
        yield container


def _stream(container: InputContainer, path: Path, number: int | None) -> av.VideoStream:
    streams = container.streams.video
    if number is None:
        chosen = cast("av.VideoStream | None", container.streams.best("video"))
        if chosen is None or chosen.disposition & Disposition.attached_pic:  # cover art
            pictures = [s for s in streams if not s.disposition & Disposition.attached_pic]
            chosen = pictures[0] if pictures else None
    else:
        chosen = streams[number] if 0 <= number < len(streams) else None
    if chosen is None and number is not None and streams:
        raise InputError(f"`stream` {number}: {path} has the video streams 0 to {len(streams) - 1}")
    if chosen is None:
        raise InputError(f"{path} contains no video stream")
    if cast(Any, chosen.codec_context) is None:
        raise InputError(f"{path} has a codec that FFmpeg does not know: convert it to H.264")
    check_size(path, chosen.codec_context.height, chosen.codec_context.width)
    return chosen


def _pictures(
    container: InputContainer, stream: av.VideoStream, packets: list[Packet], path: Path
) -> Iterator[Picture]:
    frames = _intact(container, stream, path)
    first = next(frames)
    kept = packets_from(packets, first.pts)
    skipped = len(packets) - len(kept) + leading_frames(kept, first.pts)
    joined = joins(kept, second=1 / float(stream.time_base or 1))
    if is_damaged(kept, joined):
        raise _damaged(path, "parts of the stream are missing")
    timed = container.format.name != "avi"  # AVI has decoding times only
    times = [] if joined or not timed else _times_of_all(stream, kept, first)
    # a frame is shown when the packet is decoded that follows it by the depth of reordering
    decoded = iter([p.decoded for p in kept][stream.codec_context.reorder_depth :])
    clock, stretch, expected = _Clock(stream), _stretch(stream), len(packets) - skipped
    for index, frame in enumerate(chain([first], frames)):
        if times[index : index + 1] not in ([], [frame.pts]):
            raise _lost(path, index, "is missing")
        if frame.colorspace not in MATRICES:
            raise InputError(
                f"{path} has the YUV matrix {frame.colorspace}, which cannot be read: "
                "convert it to BT.709"
            )
        time = clock.time(frame.pts if timed else next(decoded, None))
        yield Picture(*_upright(frame, stretch), time, expected, clock.origin, skipped)
    if index + 1 < len(times):
        raise _lost(path, index + 1, "is missing")


def _times_of_all(stream: av.VideoStream, packets: list[Packet], first: av.VideoFrame) -> list[int]:
    """The times of the frames from the ``first`` on; empty if unknown."""
    if first.interlaced_frame:  # a packet may be half of one
        return []
    return expected_times(packets, stream.codec_context.codec.canonical_name, first.pts)


def _intact(
    container: InputContainer, stream: av.VideoStream, path: Path
) -> Iterator[av.VideoFrame]:
    """The frames from the first intact key frame on; raises `InputError` if there is none."""
    stream.thread_type = "AUTO"
    reorders = stream.codec_context.codec.reorder
    strict = _strict_decoder(stream)
    begun, shown = False, 0
    for packet in container.demux(stream):
        try:
            if strict and packet.size:
                strict.decode(packet)
            frames = packet.decode()
        except av.error.FFmpegError:
            if begun:
                raise _lost(path, shown, "cannot be decoded") from None
            continue
        begun = begun or (packet.is_keyframe and packet.is_discard)  # hidden by an edit list
        for frame in frames:
            if begun and frame.is_corrupt:
                raise _lost(path, shown, "is damaged")
            # old decoders, such as that of QuickTime Animation, do not mark their key frames
            key = frame.key_frame or (packet.is_keyframe and not reorders)
            begun = begun or (key and not frame.is_corrupt)
            if begun:
                shown += 1
                yield frame
    if not shown:
        raise InputError(f"{path} contains no frame that can be decoded")


def _strict_decoder(stream: av.VideoStream) -> av.VideoCodecContext | None:
    name = STRICT_DECODERS.get(stream.codec_context.codec.canonical_name)
    if name is None:
        return None
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(name, "r"))
    decoder.thread_count = 0  # one thread a processor
    return decoder


class _Clock:
    """Rising times of a stream's frames, in seconds since the first one.

    A frame without a time follows one step later. So does the next frame where the stream's clock
    falls, as in a recording that was joined from two.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self.base = float(stream.time_base or 1)
        self.step = 1 / float(stream.average_rate or stream.guessed_rate or IMAGE_FPS)
        self.origin = 0.0  # the first time on the stream's own clock
        self._shift, self._last = 0.0, -self.step

    def time(self, shown: int | None) -> float:
        """The time of the next frame, which is ``shown`` then by the stream's own clock."""
        last = self._last
        if shown is None:
            self._last = last + self.step
        else:
            now = float(shown) * self.base
            if last < 0:
                self.origin = self._shift = now
            if now - self._shift <= last:
                self._shift = now - last - self.step
            self._last = now - self._shift
        return self._last


def _stretch(stream: av.VideoStream) -> float:
    """The width of a pixel in heights."""
    ratio = float(stream.sample_aspect_ratio or 1)
    return ratio if 1 / MAX_STRETCH <= ratio <= MAX_STRETCH else 1.0


def _upright(frame: av.VideoFrame, stretch: float) -> tuple[NDArray[np.uint8], SourceMap]:
    """The pixels, square, rotated and mirrored as the display matrix says: uint8 (H, W, 3)."""
    stored = frame.height, frame.width
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if frame.format.name.startswith("gray") and frame.color_range == ColorRange.MPEG:
        # FFmpeg takes every grey frame for one of full range
        frame = frame.reformat(format="yuv444p", dst_color_range=ColorRange.JPEG)
        frame.color_range = ColorRange.MPEG
    width = max(round(frame.width * stretch), 1)
    if width != frame.width:
        frame = frame.reformat(width=width, format="rgb24", interpolation=Interpolation.BICUBIC)
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    if matrix is None:
        return turned(pixels, stored)
    values = np.frombuffer(bytes(cast(Any, matrix)), dtype=np.int32)
    # x' = a x + c y, y' = b x + d y, in 16.16 fixed point; only the signs matter here
    a, b, c, d = (int(values[i]) for i in (0, 1, 3, 4))
    transposed = abs(b) > abs(a)
    if transposed:
        a, d = c, b
    return turned(pixels, stored, transposed=transposed, mirrored=a < 0, flipped=d < 0)


def _lost(path: Path, index: int, what: str) -> InputError:
    return InputError(
        f"{path}: frame {index} {what}: give an intact file, or leave the frame out with `start` "
        "or `end`"
    )


def _damaged(path: Path, reason: str) -> InputError:
    reason = reason.strip().splitlines()[0][:120]
    return InputError(f"{path} is not a video, or it is damaged ({reason}): give an intact file")
