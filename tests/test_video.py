"""Reading videos: what is on the screen is what arrives; what cannot be read is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nerv_clip.cli.options import parse_size
from nerv_clip.errors import InputError
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import Video, load_video
from nerv_clip.video.writer import shrink_comparison, write_comparison, write_image, write_video
from tests.samples import moving_picture, write_test_video


def load(path: Path, **spec: object) -> Video:
    return load_video(VideoSpec(path, **spec))  # type: ignore[arg-type]


def pixels(video: Video) -> np.ndarray:
    return video.read(range(len(video))).permute(0, 2, 3, 1).numpy()


def near(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal but for what the codec lost."""
    return a.shape == b.shape and float(np.abs(a.astype(int) - b).mean()) < 3


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (20, 30)) -> None:
    folder.mkdir()
    for i, name in enumerate(names):
        Image.fromarray(np.full((*size, 3), 10 * i, np.uint8)).save(folder / name)


def test_video_has_the_frames_times_and_rate_of_the_file(tmp_path: Path) -> None:
    true = write_test_video(tmp_path / "v.mp4", 9, 46, 62)
    video = load(tmp_path / "v.mp4")
    assert (len(video), video.height, video.width) == (9, 46, 62)
    assert near(pixels(video), true)
    assert video.fps == pytest.approx(25)
    assert video.timestamps == pytest.approx([i / 25 for i in range(9)])


def test_range_crop_and_resize_select_the_right_pixels(tmp_path: Path, video_file: Path) -> None:
    whole = pixels(load(video_file))
    part = load(video_file, start=2, end=9, step=3)
    assert np.array_equal(pixels(part), whole[2:9:3])
    cropped = pixels(load(video_file, crop=(20, 30)))
    assert np.array_equal(cropped, whole[:, 14:34, 25:55])
    resized = load(video_file, crop=(40, 80), resize=(20, 40))
    for frame, full in zip(pixels(resized), whole, strict=True):
        expected = Image.fromarray(full[4:44]).resize((40, 20), Image.Resampling.BICUBIC)
        # PIL also cuts overshoots to 0 … 255 between its two passes
        assert (np.abs(frame.astype(int) - np.asarray(expected)) > 1).mean() < 0.05


def test_image_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    write_images(tmp_path / "f", ["10.png", "9.png", "100.png"])
    (tmp_path / "f" / "labels.json").write_text("{}")
    assert pixels(load(tmp_path / "f"))[:, 0, 0, 0].tolist() == [10, 0, 20]
    single = load(tmp_path / "f" / "100.png")
    assert len(single) == 1
    assert single.timestamps == (0,)


def test_images_of_other_modes_become_rgb(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    grey = np.linspace(0, 65535, 200, dtype=np.uint16).reshape(10, 20)
    Image.fromarray(grey).save(folder / "0.png")
    Image.new("LA", (20, 10), (90, 20)).save(folder / "1.png")
    turned = Image.new("RGB", (10, 20), (1, 2, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "2.png", exif=exif)
    frames = pixels(load(folder))
    assert frames.shape == (3, 10, 20, 3)
    assert np.abs(frames[0, ..., 0].astype(float) - grey / 257).max() <= 0.5
    assert (frames[1] == 90).all()
    assert (frames[2] == [1, 2, 3]).all()


def test_frames_streamed_from_disk_equal_frames_in_memory(tmp_path: Path, video_file: Path) -> None:
    memory = load(video_file)
    disk = load_video(VideoSpec(video_file), cache_gb=0.00005, cache_dir=tmp_path / "c")
    assert disk.streamed
    assert not memory.streamed
    order = [3, 11, 0, 3]
    assert torch.equal(disk.read(order), memory.read(order))
    assert disk.hash == memory.hash
    assert list((tmp_path / "c").iterdir()) == []  # nothing stays behind, even after a kill


def test_hash_identifies_the_pixels(video_file: Path) -> None:
    hashes = {
        load(video_file).hash,
        load(video_file, end=5).hash,
        load(video_file, crop=(20, 20)).hash,
    }
    assert len(hashes) == 3
    assert load(video_file).hash in hashes


# --- bad input ---------------------------------------------------------------------------------


def refused(path: Path, match: str, **spec: object) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load(path, **spec)
    assert "\n" not in str(caught.value)


def test_missing_path_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.mp4", "does not exist")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    refused(tmp_path / "f", "no image")


def test_images_of_mixed_size_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "f", ["0.png", "1.png"])
    Image.new("RGB", (40, 40)).save(tmp_path / "f" / "2.png")
    refused(tmp_path / "f", "one size")


def test_broken_image_is_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "f", ["0.png"])
    whole = (tmp_path / "f" / "0.png").read_bytes()
    (tmp_path / "f" / "1.png").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "f", "cannot be read")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_truncated_video_is_refused(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"v{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3), dtype=np.uint8)
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    with av.open(str(source), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for picture in noise:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert len(load(source)) == 20
    whole = source.read_bytes()
    source.write_bytes(whole[: 2 * len(whole) // 3])
    refused(source, "damaged")


def test_video_with_garbage_in_the_middle_is_refused(tmp_path: Path) -> None:
    write_test_video(tmp_path / "v.mp4", 30, 96, 96)
    content = bytearray((tmp_path / "v.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    (tmp_path / "v.mp4").write_bytes(content)
    refused(tmp_path / "v.mp4", "damaged")


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ({"crop": (60, 60)}, "`crop`"),
        ({"start": 12}, "`start`"),
        ({"end": 13}, "`end`"),
        ({"start": 4, "end": 4}, "`end`"),
        ({"start": -1}, "`start`"),
        ({"step": 0}, "`step`"),
        ({"resize": (0, 4)}, "`resize`"),
    ],
)
def test_range_or_size_beyond_the_video_is_refused(
    video_file: Path, spec: dict[str, object], match: str
) -> None:
    refused(video_file, match, **spec)


def test_size_is_parsed_height_first() -> None:
    assert parse_size("--crop_list", "640_1280") == (640, 1280)
    assert parse_size("--crop_list", "-1") is None
    for wrong in ("640", "640x1280", "0_10", "a_b"):
        with pytest.raises(InputError, match="--crop_list"):
            parse_size("--crop_list", wrong)


def test_full_disk_while_streaming_is_refused(
    tmp_path: Path, video_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("nerv_clip.video.frame_store.tempfile.TemporaryFile", lambda **_: full)
        with pytest.raises(InputError, match="free some space"):
            load_video(VideoSpec(video_file), cache_gb=0, cache_dir=tmp_path)


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 80), (33, 47)])
def test_comparison_shows_true_above_decoded_and_can_seek(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    true = torch.from_numpy(moving_picture(30, *size)).permute(0, 3, 1, 2)
    drawn = torch.nn.functional.avg_pool2d(true.float() / 255, 3, 1, 1)
    path = tmp_path / "c.mp4"

    def pairs(indices: range) -> list[tuple[Tensor, Tensor]]:
        return [(true[i], drawn[i]) for i in indices]

    quality = write_comparison(path, lambda i: iter(pairs(i)), 30, fps=25)  # type: ignore[arg-type]
    assert quality >= 45
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        assert all(p.pts == p.dts for p in packets)  # no B-frames
        keys = [i for i, p in enumerate(packets) if p.is_keyframe]
        assert max(np.diff([*keys, len(packets)])) <= 12
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
    shown = pixels(load(path)).astype(float)
    height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
    scale = shown.shape[1] // (2 * height)
    shown = shown.reshape(30, 2, height, scale, width, scale, 3).mean((3, 5))
    for half, expected in ((0, true.float()), (1, 255 * drawn)):
        part = shown[:, half, : size[0], : size[1]] - expected.permute(0, 2, 3, 1).numpy()
        assert 10 * np.log10(255**2 / np.square(part).mean()) > 43


def test_comparison_with_an_easy_middle_is_encoded_once(tmp_path: Path) -> None:
    frames = torch.from_numpy(moving_picture(40, 48, 80)).permute(0, 3, 1, 2).clone()
    noise = torch.randint(-20, 21, frames.shape, generator=torch.Generator().manual_seed(0))
    frames = (frames + noise).clamp(0, 255).byte()
    frames[14:26] = 100
    whole: list[int] = []

    def pairs(indices: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        whole.append(len(indices) == 40)
        return ((frames[i], frames[i]) for i in indices)

    assert write_comparison(tmp_path / "c.mp4", pairs, 40, 25) >= 45
    assert sum(whole) == 1


def test_comparison_is_shrunk_below_a_size(tmp_path: Path) -> None:
    true = torch.from_numpy(moving_picture(30, 48, 80)).permute(0, 3, 1, 2)
    path = tmp_path / "c.mp4"

    def pairs(indices: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        return ((true[i], true[i]) for i in indices)

    full = write_comparison(path, pairs, 18, 25)
    size = path.stat().st_size
    qualities = [
        shrink_comparison(path, pairs, 18, 25, most_bytes=round(size * share))
        for share in (0.8, 0.4)
    ]
    assert path.stat().st_size <= 0.4 * size
    assert full > qualities[0] > qualities[1] > 25
    assert len(load(path)) == 18


def test_written_images_and_videos_decode_to_the_frames(tmp_path: Path) -> None:
    frames = torch.from_numpy(moving_picture(5, 33, 47)).permute(0, 3, 1, 2)
    write_image(tmp_path / "i.png", frames[2])
    assert np.array_equal(np.asarray(Image.open(tmp_path / "i.png")), moving_picture(5, 33, 47)[2])
    write_video(tmp_path / "v.mp4", iter(frames), fps=12)
    video = load(tmp_path / "v.mp4")
    assert (len(video), video.height, video.width) == (5, 34, 48)
    assert video.fps == pytest.approx(12)
