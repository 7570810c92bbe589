"""Kinds of containers and streams: times, edit lists, several streams, joined and trimmed files."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from zoo_pixels import MPEG2, RATE, made
from zoo_writing import (
    BT601,
    BT601_FULL,
    BT709,
    Kind,
    Pixels,
    Right,
    Track,
    copy_packets,
    encode,
    options,
    scene,
    steady,
)

B_FRAMES = Track(options=options(crf=12, bf=3, g=12))
OPEN_GOP = Track(
    options=options(
        crf=12, bf=3, x264_params="keyint=10:min-keyint=10:scenecut=0:open-gop=1:bframes=3"
    )
)
HEVC_GOPS = Track("libx265", options=options(crf=12, x265_params="keyint=12:log-level=none"))


def timed(path: Path, track: Track, times: Sequence[int]) -> Right:
    """Frames at given times, in steps of the track's rate."""
    true = scene(len(times))
    encode(path, true, replace(track, times=times))
    return Right(true, [time / track.rate for time in times])


def muxed(path: Path, frames: int = 20, track: Track = B_FRAMES, **flags: str) -> Right:
    """A video written with options of its container."""
    true = scene(frames)
    encode(path, true, track, options=flags)
    return Right(true, steady(frames))


# --- MP4 edit lists -----------------------------------------------------------------------------


def set_edits(path: Path, edits: Sequence[tuple[int, int]]) -> None:
    """Replace the edit list of a file whose only track is a video of 25 frames a second.

    Each edit is a number of frames and the first of them; -1 is an empty edit. The file must have
    its index (moov) at the end, so that no other offset changes.
    """
    content = path.read_bytes()
    places = [content.index(name) - 4 for name in (b"moov", b"trak", b"edts", b"elst")]
    scale = {}
    for name in (b"mvhd", b"mdhd"):  # version 0: the scale follows two times of 4 bytes
        at = content.index(name) + 4 + 12
        scale[name] = struct.unpack(">I", content[at : at + 4])[0]
    old = struct.unpack(">I", content[places[-1] : places[-1] + 4])[0]
    shift = struct.unpack(">i", content[places[-1] + 20 :][:4])[0]  # B-frames delay the first one
    body = struct.pack(">II", 0, len(edits))
    for frames, first in edits:
        start = -1 if first < 0 else shift + first * scale[b"mdhd"] // 25
        body += struct.pack(">IiI", frames * scale[b"mvhd"] // 25, start, 1 << 16)
    box = struct.pack(">I", 8 + len(body)) + b"elst" + body
    changed = bytearray(content[: places[-1]] + box + content[places[-1] + old :])
    for place in places[:-1]:
        (size,) = struct.unpack(">I", changed[place : place + 4])
        changed[place : place + 4] = struct.pack(">I", size + len(box) - old)
    path.write_bytes(changed)


def edited(path: Path, edits: Sequence[tuple[int, int]], track: Track = B_FRAMES) -> Right:
    """A video of 30 frames, of which an edit list shows a part."""
    true = scene(30)
    encode(path, true, track)
    set_edits(path, edits)
    shown = [i for frames, first in edits if first >= 0 for i in range(first, first + frames)]
    return Right(true[shown], steady(len(shown)))


# --- several streams ----------------------------------------------------------------------------


def with_other_video(path: Path, other: Disposition, frames: int) -> Right:
    """A stream of red pictures comes first, the video second, as the default stream."""
    true = scene(8)
    red = np.zeros_like(true) + np.array([255, 0, 0], np.uint8)
    with av.open(str(path), "w") as container:
        first = Track("mjpeg" if other else "libx264", "yuvj420p" if other else "yuv420p")
        streams = [first.add_to(container, red[0]), Track().add_to(container, true[0])]
        streams[0].disposition, streams[1].disposition = other, Disposition.default
        for frame in first.frames(red[:frames]):
            container.mux(streams[0].encode(frame))
        for frame in Track().frames(true):
            container.mux(streams[1].encode(frame))
        container.mux([*streams[0].encode(), *streams[1].encode()])
    return Right(true, steady(8))


def with_sound(
    path: Path,
    seconds: float = 0.4,
    track: Track = B_FRAMES,
    codec: str = "aac",
) -> Right:
    """A video of 10 frames, with noise of so many seconds as sound."""
    true = scene(10)
    noise = np.random.default_rng(0).normal(scale=0.2, size=(1, round(RATE_OF_SOUND * seconds)))
    with av.open(str(path), "w") as container:
        video = track.add_to(container, true[0])
        audio: Any = container.add_stream(codec, rate=RATE_OF_SOUND, layout="mono")
        for frame in track.frames(true):
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(noise.astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = RATE_OF_SOUND, 0
        container.mux([*audio.encode(sound), *audio.encode(), *video.encode()])
    return Right(true, steady(10))


def with_damaged_sound(path: Path) -> Right:
    """The second half of each packet of sound is overwritten."""
    right = with_sound(path, seconds=0.8)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos]
    for place, size in places[1:]:
        content[place + size // 2 : place + size] = bytes([0xA5]) * (size - size // 2)
    path.write_bytes(content)
    return right


# --- joined and trimmed files -------------------------------------------------------------------


def joined(path: Path, tracks: Sequence[Track], sizes: Sequence[tuple[int, int]]) -> list[Pixels]:
    """Append the files of several videos; returns their pictures."""
    parts = [scene(12, *size) for size in sizes]
    content = b""
    for track, part in zip(tracks, parts, strict=True):
        encode(path, part, track)
        content += path.read_bytes()
    path.write_bytes(content)
    return parts


def joined_alike(path: Path, tracks: Sequence[Track]) -> Right:
    """Two videos of one size, one after the other."""
    parts = joined(path, tracks, [(64, 96)] * len(tracks))
    true = np.concatenate(parts)
    return Right(true, steady(len(true)))


def joined_of_two_sizes(path: Path) -> Right:
    """Two videos, of which the second is larger."""
    joined(path, [Track()] * 2, [(64, 96), (96, 128)])
    return Right(refused=r"frame 12 is 96x128 .* before it are 64x96: all must have one size")


def trimmed(path: Path, hidden: bool) -> Right:
    """The packets from the second key frame on, of a stream with open groups of pictures.

    The frames that need the first group are left out, unless the container hides them.
    """
    true = scene(30)
    whole = path.with_stem("whole")
    encode(whole, true, OPEN_GOP)
    with av.open(str(whole)) as container:
        keys = [i for i, p in enumerate(container.demux(video=0)) if p.size and p.is_keyframe]
    copy_packets(whole, path, keys[1])
    leading = len(true) - keys[1] - 20
    return Right(true[10:], steady(20), skipped=0 if hidden else leading)


def cut_within_a_group(path: Path) -> Right:
    """A transport stream that begins within a group of pictures, as a recording does."""
    true = scene(40)
    encode(path, true, HEVC_GOPS)
    whole = path.read_bytes()
    cut = 188 * (len(whole) // 188 // 5)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.pos is not None and p.pos >= cut]
    path.write_bytes(whole[cut:])
    key = next(packet.pts for packet in packets if packet.is_keyframe)
    shown = sum((packet.pts or 0) >= (key or 0) for packet in packets)
    return Right(true[40 - shown :], steady(shown), skipped=len(packets) - shown)


def with_a_hidden_frame(path: Path) -> Right:
    """A VP8 stream of which one frame is only a reference, as alt-ref frames are (RFC 6386)."""
    true = scene(12)
    encode(path, true, Track("libvpx", options=RATE))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    hidden = bytes([packets[7][0] & ~0x10]) + packets[7][1:]  # without its show_frame bit
    path.write_bytes(path.read_bytes().replace(packets[7], hidden))
    shown = [*range(7), *range(8, 12)]
    return Right(true[shown], [index / 25 for index in shown])


def with_a_repeated_frame(path: Path) -> Right:
    """A VP9 stream with a packet of one byte that shows the first frame again."""
    true = scene(6)
    encode(path, true, Track("libvpx-vp9", options=options(crf=8, b=0)))
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    packets.insert(1, bytes([0b1000_1000]))  # show_existing_frame, of slot 0
    content = path.read_bytes()[:32]
    for index, packet in enumerate(packets):
        content += struct.pack("<IQ", len(packet), index) + packet
    path.write_bytes(content)
    return Right(true[[0, *range(6)]], steady(7))


RATE_OF_SOUND = 32_000
GAPS = (0, 1, 2, 3, 63, 64, 65, 245, 246, 300, 301, 303)  # sixtieths of a second
MJPEG = Track("mjpeg", "yuvj420p", options(b="4000k", qmax=2), BT601_FULL)
SCREEN = Track(options=options(crf=12, bf=0), rate=60)
WRAP = round((2**33 / 90_000 - 0.4) * 25)  # a clock of 33 bits starts again after 0.4 s

STREAMS: dict[str, Kind] = {
    # containers
    "MP4, index at the end": Kind("v.mp4", muxed),
    "MP4, index at the start": Kind("v.mp4", partial(muxed, movflags="faststart")),
    "MP4, fragmented": Kind("v.mp4", partial(muxed, movflags="frag_keyframe+empty_moov")),
    "MP4, fragmented for DASH": Kind("v.mp4", partial(muxed, movflags="dash+cmaf")),
    "Matroska, live": Kind("v.mkv", partial(muxed, live="1")),
    "WebM, live": Kind(
        "v.webm", partial(muxed, track=Track("libvpx-vp9", options=options(crf=8)), live="1")
    ),
    "VP8 with a hidden frame": Kind("v.webm", with_a_hidden_frame),
    "VP9 with a repeated frame": Kind("v.ivf", with_a_repeated_frame),
    "AV1 with hidden frames": made(
        "v.mkv", Track("libsvtav1", options=options(crf=12, preset=8)), frames=30
    ),
    # times
    "one frame in MP4": made("v.mp4", Track(), frames=1),
    "one frame in WebM": made("v.webm", Track("libvpx", options=RATE), frames=1),
    "one frame in TS": made("v.ts", Track(), frames=1),
    "two frames in MP4": made("v.mp4", Track(), frames=2),
    "two frames in AVI": made("v.avi", Track("mpeg4", options=RATE), frames=2),
    "screen recording, MP4": Kind("v.mp4", partial(timed, track=SCREEN, times=GAPS)),
    "screen recording, Matroska": Kind("v.mkv", partial(timed, track=SCREEN, times=GAPS)),
    "screen recording, VP8": Kind(
        "v.webm", partial(timed, track=Track("libvpx", options=RATE, rate=60), times=GAPS)
    ),
    "screen recording, TS": Kind("v.ts", partial(timed, track=SCREEN, times=GAPS)),
    "gap in time, with B-frames": Kind(
        "v.mp4", partial(timed, track=B_FRAMES, times=[*range(10), *range(30, 40)])
    ),
    "gap in time, AVI": Kind(
        "v.avi",
        partial(timed, track=Track("mpeg4", options=RATE), times=[*range(5), *range(9, 14)]),
    ),
    "gap in time, MJPEG in AVI": Kind(
        "v.avi", partial(timed, track=MJPEG, times=[*range(5), *range(9, 14)])
    ),
    "gap in time, H.264 with B-frames in AVI": Kind(
        "v.avi", partial(timed, track=B_FRAMES, times=[*range(10), *range(15, 25)])
    ),
    "gap in time, WMV": Kind(
        "v.wmv",
        partial(timed, track=Track("wmv2", options=RATE), times=[*range(5), *range(9, 14)]),
    ),
    "gap in time, FLV": Kind(
        "v.flv", partial(timed, track=B_FRAMES, times=[*range(10), *range(30, 40)])
    ),
    "gap in time, HEVC": Kind(
        "v.mp4", partial(timed, track=HEVC_GOPS, times=[*range(5), *range(9, 14)])
    ),
    "late clock in TS": made("v.ts", Track(start=50_000 * 25), frames=20),
    "33-bit clock that wraps": made(
        "v.ts", Track(options=options(bf=0, crf=12), start=WRAP), frames=20
    ),
    "33-bit clock that wraps, B-frames": made("v.ts", replace(B_FRAMES, start=WRAP), frames=20),
    # edit lists
    "edit list: start within a group": Kind("v.mp4", partial(edited, edits=[(25, 5)])),
    "edit list: start at a key frame": Kind("v.mp4", partial(edited, edits=[(18, 12)])),
    "edit list: start and end within groups": Kind("v.mov", partial(edited, edits=[(10, 8)])),
    "edit list: a part in the middle is left out": Kind(
        "v.mov", partial(edited, edits=[(9, 0), (10, 17)])
    ),
    "edit list: empty edit first": Kind("v.mp4", partial(edited, edits=[(12, -1), (30, 0)])),
    "edit list: empty edit, then start within a group": Kind(
        "v.mp4", partial(edited, edits=[(5, -1), (15, 7)])
    ),
    "edit list: start within an open group": Kind(
        "v.mp4", partial(edited, edits=[(15, 12)], track=OPEN_GOP)
    ),
    "edit list, HEVC": Kind("v.mov", partial(edited, edits=[(20, 5)], track=HEVC_GOPS)),
    "edit list, MPEG-4": Kind(
        "v.mp4", partial(edited, edits=[(20, 5)], track=Track("mpeg4", options=RATE))
    ),
    # several streams
    "two videos, the second is the default": Kind(
        "v.mkv", partial(with_other_video, other=Disposition(0), frames=1)
    ),
    "cover art before the video": Kind(
        "v.mp4", partial(with_other_video, other=Disposition.attached_pic, frames=1)
    ),
    "sound is longer": Kind("v.mp4", partial(with_sound, seconds=2.0)),
    "sound starts earlier": Kind(
        "v.mkv", partial(with_sound, seconds=1.0, track=replace(B_FRAMES, start=20))
    ),
    "sound starts earlier, MP4": Kind(
        "v.mp4", partial(with_sound, seconds=1.0, track=replace(B_FRAMES, start=20))
    ),
    "MPEG-2 with sound in a program stream": Kind(
        "v.mpg", partial(with_sound, track=MPEG2, codec="ac3")
    ),
    "sound is damaged": Kind("v.mkv", with_damaged_sound),
    # joined and trimmed
    "two joined transport streams": Kind("v.ts", partial(joined_alike, tracks=[B_FRAMES] * 2)),
    "two joined bare streams": Kind("v.h264", partial(joined_alike, tracks=[Track()] * 2)),
    "size changes, TS": Kind("v.ts", joined_of_two_sizes),
    "size changes, bare H.264": Kind("v.h264", joined_of_two_sizes),
    "format of pixels changes": Kind(
        "v.h264", partial(joined_alike, tracks=[Track(), Track(pix_fmt="yuv444p")])
    ),
    "colours change": Kind(
        "v.h264", partial(joined_alike, tracks=[Track(colours=BT601), Track(colours=BT709)])
    ),
    "open group trimmed, MP4": Kind("v.mp4", partial(trimmed, hidden=True)),
    "open group trimmed, Matroska": Kind("v.mkv", partial(trimmed, hidden=False)),
    "HEVC cut within a group": Kind("v.ts", cut_within_a_group),
}
