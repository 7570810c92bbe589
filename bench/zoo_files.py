"""Kinds of files: animated pictures, odd names, and what is no video or no whole one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from zoo_pixels import made
from zoo_writing import Kind, Right, Track, encode, scene, steady

# --- animated pictures --------------------------------------------------------------------------


def animation(
    path: Path,
    delays: Sequence[int],
    shown: Sequence[float],
    error: float = 0.0,
    **settings: Any,  # noqa: ANN401
) -> Right:
    """Pictures with delays in milliseconds; the right times are ``shown``, in seconds."""
    true = scene(len(delays))
    first, *rest = map(Image.fromarray, true)
    first.save(path, save_all=True, append_images=rest, duration=list(delays), **settings)
    return Right(true, shown, error)


def animation_behind_a_still(path: Path) -> Right:
    """An APNG whose first image is shown only by viewers that cannot show animations."""
    right = animation(path, (*DELAYS, 40), SUMS, default_image=True)
    return right._replace(pictures=right.pictures[1:])


def sprites(path: Path, disposal: int) -> Right:
    """A picture, then two squares on transparency: how a frame goes away before the next one.

    ``disposal`` is 1 (stays), 2 (its area becomes transparent) or 3 (what was there comes back).
    Transparency is black.
    """
    base = scene(1)[0]
    true, layers = [base], [Image.fromarray(base).convert("RGBA")]
    canvas = np.zeros_like(base) if disposal == 2 else base
    for left in (8, 48):
        picture, layer = canvas.copy(), np.zeros((*base.shape[:2], 4), np.uint8)
        picture[16:48, left : left + 32] = (90, 30, 60)
        layer[16:48, left : left + 32] = (90, 30, 60, 255)
        true.append(picture)
        layers.append(Image.fromarray(layer))
        canvas = picture if disposal == 1 else canvas
    settings: dict[str, Any] = {"disposal": [1 if disposal == 3 else disposal, disposal, disposal]}
    if path.suffix == ".png":  # APNG counts disposals from 0, and blends only if told to
        settings = {"disposal": [number - 1 for number in settings["disposal"]], "blend": 1}
    layers[0].save(path, save_all=True, append_images=layers[1:], duration=40, **settings)
    return Right(np.stack(true), steady(3), 0.5)


# --- names and places ---------------------------------------------------------------------------


def renamed(path: Path) -> Right:
    """A video whose name came from a system with another encoding."""
    true = scene(2)
    encode(path.with_name("plain.mp4"), true)
    path.with_name("plain.mp4").rename(path)
    return Right(true, steady(2))


def linked(path: Path) -> Right:
    """A symbolic link to a video with another suffix."""
    true = scene(3)
    target = path.with_name("target.mkv")
    encode(target, true)
    path.symlink_to(target)
    return Right(true, steady(3))


def dangling(path: Path) -> Right:
    """A symbolic link to nothing."""
    path.symlink_to(path.with_name("nothing.mp4"))
    return Right(refused="does not exist")


def folder_of_images(path: Path) -> Right:
    """A folder that is named like a video, of numbered images."""
    true = scene(12)
    path.mkdir()
    for index, picture in enumerate(true):
        Image.fromarray(picture).save(path / f"frame {index}.png")
    return Right(true, steady(12), 0.0)


def empty_folder(path: Path) -> Right:
    """A folder that is named like a video."""
    path.mkdir()
    return Right(refused="contains no image: give a video file, or a folder of images")


# --- no video, or no whole one ------------------------------------------------------------------


def content(path: Path, data: bytes, refused: str = "not a video") -> Right:
    """A file with this content, which is refused."""
    path.write_bytes(data)
    return Right(refused=refused)


def sound_only(path: Path) -> Right:
    """A file with sound and no video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 8000), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux([*stream.encode(frame), *stream.encode()])
    return Right(refused="contains no video stream")


def without_frames(path: Path) -> Right:
    """A recording that was stopped before its first frame."""
    with av.open(str(path), "w") as container:
        Track().add_to(container, scene(1)[0])
        container.start_encoding()
    return Right(refused="no frame|not a video|no video stream")


def cut(path: Path, change: Callable[[bytes], bytes], refused: str) -> Right:
    """A video of which only a part was copied."""
    encode(path, scene(20))
    path.write_bytes(change(path.read_bytes()))
    return Right(refused=refused)


def gif_of(width: int, height: int) -> bytes:
    """A GIF whose only frame is one pixel, on a canvas of this size."""
    screen = (
        b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([0] * 3 + [255] * 3)
    )
    image = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return screen + image + b";"


LARGE = "pixels, more than"
DELAYS, SUMS = (100, 300, 50, 20), (0, 0.1, 0.4, 0.45)
NO_DELAYS, TENTHS = (0, 0, 0, 40), (0, 0.1, 0.2, 0.3)  # as browsers show them

FILES: dict[str, Kind] = {
    "GIF": Kind("a.gif", partial(animation, delays=DELAYS, shown=SUMS)),
    "GIF without delays": Kind("a.gif", partial(animation, delays=NO_DELAYS, shown=TENTHS)),
    "GIF of one picture": Kind("a.gif", partial(animation, delays=[40], shown=[0])),
    "GIF, frames stay": Kind("a.gif", partial(sprites, disposal=1)),
    "GIF, frames go": Kind("a.gif", partial(animation, delays=DELAYS, shown=SUMS, disposal=2)),
    "GIF, frames come back": Kind("a.gif", partial(sprites, disposal=3)),
    "APNG": Kind("a.png", partial(animation, delays=DELAYS, shown=SUMS)),
    "APNG without delays": Kind("a.png", partial(animation, delays=NO_DELAYS, shown=TENTHS)),
    "APNG, its default image is no frame": Kind("a.png", animation_behind_a_still),
    "APNG, frames stay": Kind("a.png", partial(sprites, disposal=1)),
    "APNG, frames go": Kind("a.png", partial(sprites, disposal=2)),
    "APNG, frames come back": Kind("a.png", partial(sprites, disposal=3)),
    "WebP": Kind("a.webp", partial(animation, delays=DELAYS, shown=SUMS, lossless=True)),
    "WebP without delays": Kind(
        "a.webp", partial(animation, delays=NO_DELAYS, shown=TENTHS, lossless=True)
    ),
    "WebP, lossy": Kind("a.webp", partial(animation, delays=DELAYS, shown=SUMS, error=6.0)),
    # names and places
    **{
        f"named {name}": made(name, Track(), frames=2, format="mp4")
        for name in (
            "my clip.mp4",
            "100%.mp4",
            "%d.mp4",
            "12:30:05.mp4",
            "-y.mp4",
            "pipe:1.mp4",
            "ü 猫.mp4",
            "VIDEO.MP4",
            "no suffix",
        )
    },
    "named in another encoding than UTF-8": Kind("caf\udce9.mp4", renamed),
    "symbolic link": Kind("v.mp4", linked),
    "symbolic link to nothing": Kind("v.mp4", dangling),
    "folder of images, named like a video": Kind("v.mp4", folder_of_images),
    "empty folder, named like a video": Kind("v.mp4", empty_folder),
    # no video
    "empty file": Kind("v.mp4", partial(content, data=b"")),
    "text named .mp4": Kind("v.mp4", partial(content, data=b"not a video\n" * 100)),
    "text named .txt": Kind("v.txt", partial(content, data=b"not a video\n" * 100)),
    "text that names other files": Kind(
        "v.mp4", partial(content, data=b"ffconcat version 1.0\nfile other.mp4\n")
    ),
    "playlist": Kind(
        "v.m3u8", partial(content, data=b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nv.ts\n")
    ),
    "zeros": Kind("v.mp4", partial(content, data=bytes(10_000))),
    "noise": Kind("v.mp4", partial(content, data=np.random.default_rng(0).bytes(10_000))),
    "sound only": Kind("v.m4a", sound_only),
    "MP4 without frames": Kind("v.mp4", without_frames),
    "Matroska without frames": Kind("v.mkv", without_frames),
    "Y4M without frames": Kind(
        "v.y4m", partial(content, data=b"YUV4MPEG2 W16 H16 F25:1 C420\n", refused="no frame")
    ),
    "GIF without frames": Kind(
        "v.gif", partial(content, data=gif_of(4, 4)[:19], refused="no frame|not a video")
    ),
    # no whole video
    "MP4 without its index": Kind(
        "v.mp4",
        partial(cut, change=lambda data: data[: data.index(b"moov") - 4], refused="not a video"),
    ),
    "first half of a Matroska file": Kind(
        "v.mkv",
        partial(cut, change=lambda data: data[: len(data) // 2], refused="bytes are missing"),
    ),
    # more pixels than the file can have
    "Y4M of 12000x12000": Kind(
        "v.y4m",
        partial(
            content, data=b"YUV4MPEG2 W12000 H12000 F25:1 C420\nFRAME\n" + bytes(999), refused=LARGE
        ),
    ),
    "GIF of 30000x30000": Kind(
        "v.gif", partial(content, data=gif_of(30000, 30000), refused="not a video|no frame")
    ),
}
