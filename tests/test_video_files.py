"""Videos and images as people have them: which frames, when, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, features
from zoo_writing import Track, encode

from nerv_clip.errors import InputError
from nerv_clip.video.decoder import decode_video
from nerv_clip.video.picture import Picture
from nerv_clip.video.reader import pictures, read_image
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import load_video
from tests.samples import moving_picture, write_test_video

Pixels = NDArray[np.uint8]
H265 = {"x265-params": "keyint=12:min-keyint=12:log-level=none"}


def write(
    path: Path,
    true: Pixels,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    *,
    start: int = 0,
) -> Path:
    """Encode pictures (N, H, W, 3) at 25 fps; the first is shown at ``start`` twenty-fifths."""
    chosen = tuple({"crf": "18", **(options or {})}.items())
    encode(path, true, Track(codec, options=chosen, start=start))
    return path


def indices(read: Sequence[Picture], true: Pixels) -> list[int]:
    """For each picture that was read, the true picture that is nearest to it."""
    flat = true.reshape(len(true), -1).astype(np.float32)
    return [int(np.square(flat - p.pixels.reshape(-1)).mean(1).argmin()) for p in read]


# --- streams that begin or end anywhere ---------------------------------------------------------


def test_files_read_at_the_same_time_do_not_affect_each_other(tmp_path: Path) -> None:
    true = moving_picture(12, 48, 80)
    whole = write(tmp_path / "whole.mkv", true)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:-400])
    wrong: list[str] = []

    def refused() -> None:
        for _ in range(25):
            try:
                list(decode_video(cut))
                wrong.append("the cut file was accepted")
            except InputError:
                pass

    def accepted() -> None:
        for _ in range(25):
            try:
                list(decode_video(whole))
            except InputError as error:
                wrong.append(str(error))

    threads = [threading.Thread(target=task) for task in (refused, accepted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


CLIPS = {
    "h.mp4": ("libx264", {"g": "12", "bf": "3"}),
    "e.mkv": ("libx265", H265),
    "v.webm": ("libvpx-vp9", {"crf": "30", "b": "0"}),
    "x.avi": ("mpeg4", {"b": "2000k"}),
    "a.mp4": ("libsvtav1", {"crf": "40", "preset": "12"}),
}


@pytest.mark.parametrize("name", CLIPS)
def test_cut_files_are_refused(tmp_path: Path, name: str) -> None:
    codec, options = CLIPS[name]
    path = write(tmp_path / name, moving_picture(30, 64, 96), codec, options)
    whole = path.read_bytes()
    assert len(list(decode_video(path))) == 30
    for end in np.random.default_rng(0).integers(0, len(whole), 20):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"damaged|no video stream"):
            list(decode_video(path))


@pytest.mark.parametrize("name", CLIPS)
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    codec, options = CLIPS[name]
    path = write(tmp_path / name, moving_picture(12, 64, 96), codec, options)
    whole = path.read_bytes()
    for seed in range(25):
        rng = np.random.default_rng(seed)
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        with suppress(InputError):
            read = list(decode_video(path))
            assert len(read) + read[0].skipped <= 12


def test_changed_bits_of_vp9_are_noticed(tmp_path: Path) -> None:
    """But for a few: FFmpeg's own decoder shows another picture without an error."""
    path = write(tmp_path / "v.webm", moving_picture(20, 128, 192), *CLIPS["v.webm"])
    whole = path.read_bytes()
    clean = [picture.pixels for picture in decode_video(path)]
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size > 64]
    noticed = 0
    for seed in range(20):
        chance = np.random.default_rng(seed)
        place, size = packets[chance.integers(len(packets))]
        content = bytearray(whole)
        content[place + int(chance.integers(32, size))] ^= 1 << int(chance.integers(8))
        path.write_bytes(content)
        try:
            noticed += np.array_equal([p.pixels for p in decode_video(path)], clean)
        except InputError:
            noticed += 1
    assert noticed >= 18


def test_frame_that_is_damaged_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 64, 96, 3), dtype=np.uint8)
    write(path, noise, options={"g": "10", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    content = bytearray(path.read_bytes())
    place, size = packets[15]
    content[place + 200 : place + size - 200] = bytes(size - 400)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"frame 15 .*`start` or `end`"):
        list(decode_video(path))
    assert len(load_video(VideoSpec(path, end=15))) == 15


# --- streams, pixels, times ---------------------------------------------------------------------


def test_default_video_stream_is_read_unless_another_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    true = moving_picture(5, 48, 80)
    red = np.full((48, 80, 3), (255, 0, 0), np.uint8)
    with av.open(str(path), "w") as container:
        thumbnail, video = (container.add_stream("libx264", rate=25) for _ in range(2))
        for stream in (thumbnail, video):
            stream.height, stream.width, stream.pix_fmt = 48, 80, "yuv420p"
        thumbnail.disposition = av.stream.Disposition(0)
        video.disposition = av.stream.Disposition.default
        container.mux(thumbnail.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        for picture in true:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux([*thumbnail.encode(), *video.encode()])
    assert indices(list(decode_video(path)), true) == [0, 1, 2, 3, 4]
    first = load_video(VideoSpec(path, stream=0))
    assert len(first) == 1
    assert first.read([0])[0, 0].float().mean() > 230
    with pytest.raises(InputError, match=r"`stream` 2: .* video streams 0 to 1"):
        load_video(VideoSpec(path, stream=2))


@pytest.mark.parametrize("start", [50_000 * 25, round((2**33 / 90_000 - 0.4) * 25)])
def test_times_count_from_the_first_frame(tmp_path: Path, start: int) -> None:
    """The second stream's 33-bit clock starts again after 0.4 seconds."""
    true = moving_picture(20, 64, 96)
    path = write(tmp_path / "late.ts", true, options={"bf": "0"}, start=start)
    video = load_video(path)
    assert video.timestamps == pytest.approx([i / 25 for i in range(20)], abs=1e-3)
    if start == 50_000 * 25:
        assert video.origin == pytest.approx(50_000, abs=2)


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".webp", ".png", ".tif", ".avif"])
def test_animated_image_gives_all_frames_with_their_delays(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow cannot write AVIF")
    true = moving_picture(4, 32, 48)
    delays = [40, 40, 40, 40] if suffix == ".tif" else [100, 300, 50, 50]  # TIFF has none
    first, *rest = map(Image.fromarray, true)
    options = {"duration": delays} if suffix != ".tif" else {}
    lossless = {".webp": {"lossless": True}, ".avif": {"quality": 95}}.get(suffix, {})
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=rest, **options, **lossless)
    read = list(pictures(tmp_path / f"a{suffix}"))
    assert indices(read, true) == [0, 1, 2, 3]
    expected = np.cumsum([0, *delays[:-1]]) / 1000
    assert [p.time for p in read] == pytest.approx(expected, abs=1e-3)
    (tmp_path / "folder").mkdir()
    (tmp_path / f"a{suffix}").rename(tmp_path / "folder" / f"a{suffix}")
    with pytest.raises(InputError, match=r"holds 4 images: give this file alone as `path`"):
        list(pictures(tmp_path / "folder"))


def test_phone_image_with_a_preview_is_one_image(tmp_path: Path) -> None:
    image, preview = (Image.new("RGB", size, "red") for size in ((40, 20), (8, 4)))
    image.save(tmp_path / "p.jpg", format="MPO", save_all=True, append_images=[preview])
    assert len(list(pictures(tmp_path / "p.jpg"))) == 1


def test_hidden_files_of_a_folder_are_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "._0.png").write_bytes(b"\0\5\x16\7")
    assert len(list(pictures(tmp_path))) == 1


@pytest.mark.parametrize("name", ["12:30:05.mp4", "-dash.mp4", "a%d.mp4", "ü.mp4"])
def test_file_names_are_taken_literally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_test_video(tmp_path / "plain.mp4", 3)
    Path("plain.mp4").rename(name)
    assert len(load_video(Path(name))) == 3


def test_tag_that_is_not_utf8_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caf0"
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 80, "yuv420p"
        for picture in moving_picture(3, 48, 80):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert content.count(b"caf0") == 1
    path.write_bytes(content.replace(b"caf0", b"caf\xe9"))
    assert len(load_video(path)) == 3


def test_unknown_codec_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    write(path, moving_picture(3, 48, 80))
    content = path.read_bytes()
    assert b"V_MPEG4/ISO/AVC" in content
    path.write_bytes(content.replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/IS/AV"))
    with pytest.raises(InputError, match="codec that FFmpeg does not know"):
        load_video(path)


def test_orientation_is_read_from_exif_with_other_damage(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0
    block = bytearray(exif.tobytes())
    place = block.index(b"\x01\x1a") if b"\x01\x1a" in block else block.index(b"\x1a\x01")
    block[place + 2 : place + 4] = b"\x00\x63" if block[6:8] == b"MM" else b"\x63\x00"  # no type
    Image.new("RGB", (10, 20), (1, 2, 3)).save(tmp_path / "odd.jpg", exif=bytes(block))
    assert read_image(tmp_path / "odd.jpg").shape == (10, 20, 3)


def test_image_of_32_bits_a_sample_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(InputError, match=r"f\.tif .*8 or 16 bits"):
        read_image(tmp_path / "f.tif")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot write AVIF")
def test_damaged_avif_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    Image.fromarray(moving_picture(1, 64, 96)[0]).save(path)
    content = bytearray(path.read_bytes())
    content[-200:] = np.random.default_rng(0).bytes(200)
    for damaged in (bytes(content), bytes(content[:-150])):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a\.avif cannot be read"):
            read_image(path)
