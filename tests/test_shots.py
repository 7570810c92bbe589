"""Where the shots of a video begin: found in its pictures, given by a user, and as frames read."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from nerv_clip.cli.inputs import load_inputs
from nerv_clip.cli.options import parse, parse_shots
from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT
from nerv_clip.runs.config import ShotRecord, VideoRecord
from nerv_clip.video.cuts import CutFinder
from nerv_clip.video.shots import Shots
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import load_video, shots_read
from tests.runs import flags

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 72, 128
BUNNY = Path(__file__).parents[2] / "shared/video/bunny30s.webm"


def cuts(pictures: Iterable[Pixels]) -> list[int]:
    finder = CutFinder()
    for picture in pictures:
        finder.add(picture)
    return finder.finish()


@cache
def panorama(seed: int) -> Pixels:
    """A wide picture of patches of several sizes and colours: uint8 (HEIGHT, 2000, 3)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((HEIGHT, 2000, 3))
    for size in (7, 19, 53):
        cells = rng.integers(0, 256, (HEIGHT // size + 2, 2000 // size + 2, 3))
        top, left = rng.integers(0, size, 2)
        patches = cells.repeat(size, axis=0).repeat(size, axis=1)
        total += patches[top : top + HEIGHT, left : left + 2000] / 3
    return total.astype(np.uint8)


def shot(seed: int, frames: int, step: int = 1) -> list[Pixels]:
    """A camera that moves by ``step`` pixels a picture over a panorama."""
    return [panorama(seed)[:, step * i :][:, :WIDTH].copy() for i in range(frames)]


def blend(a: Pixels, b: Pixels, share: float) -> Pixels:
    return (a + share * (b.astype(float) - a)).round().astype(np.uint8)


# --- cuts that are found -----------------------------------------------------------------------


def test_hard_cuts_are_found_exactly() -> None:
    film = shot(1, 20) + shot(2, 9, 2) + shot(3, 30) + shot(1, 12)
    assert cuts(film) == [20, 29, 59]


@pytest.mark.parametrize("frames", [2, 3, 5])
def test_cuts_between_very_short_shots_are_found(frames: int) -> None:
    film = [picture for seed in range(12) for picture in shot(seed, frames)]
    assert cuts(film) == list(range(frames, 12 * frames, frames))


def test_cuts_within_fast_movement_are_found() -> None:
    assert cuts(shot(1, 20, 9) + shot(2, 20, 12) + shot(3, 20, 9)) == [20, 40]


def test_cuts_between_plain_colours_are_found() -> None:
    colours = [(200, 40, 40), (40, 160, 60), (220, 200, 60)]
    film = [np.full((HEIGHT, WIDTH, 3), c, np.uint8) for c in colours for _ in range(8)]
    assert cuts(film) == [8, 16]
    assert cuts([*shot(1, 8), *film[:8], *shot(2, 8)]) == [8, 16]


def test_cuts_in_the_dark_are_found() -> None:
    rng = np.random.default_rng(0)
    film = [
        blend(np.zeros_like(picture), picture, 0.15) + rng.integers(0, 5, picture.shape)
        for picture in shot(1, 12) + shot(2, 12)
    ]
    assert cuts(picture.astype(np.uint8) for picture in film) == [12]


@pytest.mark.parametrize("length", [6, 12, 24])
def test_dissolve_is_one_cut(length: int) -> None:
    first, second = shot(1, 40 + length, 0), shot(2, 40 + length, 0)
    mixed = [blend(first[40 + i], second[i], (i + 1) / (length + 1)) for i in range(length)]
    (found,) = cuts(first[:40] + mixed + second[length:])
    assert 40 < found <= 40 + length


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("held", [0, 1, 40])
def test_fade_through_black_or_white_is_one_cut(colour: int, held: int) -> None:
    first, second = shot(1, 30), shot(2, 30)
    plain = np.full_like(first[0], colour)
    out = [blend(picture, plain, (i + 1) / 11) for i, picture in enumerate(first[20:])]
    back = [blend(plain, picture, (i + 1) / 11) for i, picture in enumerate(second[:10])]
    (found,) = cuts(first[:20] + out + [plain] * held + back + second[10:])
    assert 20 < found <= 40 + held


def test_shots_with_black_between_are_cut_where_the_change_is_sudden() -> None:
    black = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 12
    second = shot(2, 20)
    fade = [blend(black[0], picture, (i + 1) / 11) for i, picture in enumerate(second[:10])]
    assert cuts(shot(1, 20) + black + fade + second[10:]) == [20]
    assert cuts(shot(1, 20) + black + shot(2, 20)) == [32]


# --- what is no cut ----------------------------------------------------------------------------


def test_fast_camera_is_no_cut() -> None:
    assert cuts(shot(1, 8, 0) + shot(1, 30, 30)) == []
    rng = np.random.default_rng(0)
    assert cuts(panorama(1)[:, x:][:, :WIDTH] for x in rng.integers(0, 50, 40)) == []


def test_flash_is_no_cut() -> None:
    film = shot(1, 60)
    for i, length in ((10, 1), (25, 2), (40, 3)):
        for j in range(i, i + length):
            film[j] = blend(film[j], np.full_like(film[j], 255), 0.8)
    assert cuts(film) == []


@pytest.mark.parametrize("colour", [0, 255])
def test_blank_picture_is_no_cut(colour: int) -> None:
    film = shot(1, 40)
    film[15] = film[25] = film[26] = np.full_like(film[0], colour)
    assert cuts(film) == []


def test_picture_of_another_scene_is_no_cut() -> None:
    film = shot(1, 40)
    film[15] = shot(2, 1)[0]
    assert cuts(film) == []


def test_light_that_is_switched_is_no_cut() -> None:
    film = shot(1, 40)
    dark = [(0.3 * picture.astype(float)).astype(np.uint8) for picture in film]
    assert cuts(film[:20] + dark[20:]) == []


def test_fade_in_and_fade_out_are_no_cuts() -> None:
    film, black = shot(1, 60), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    film[:20] = [blend(black, picture, max(i - 4, 0) / 16) for i, picture in enumerate(film[:20])]
    film[-20:] = [blend(black, picture, 1 - i / 16) for i, picture in enumerate(film[-20:-4])]
    assert cuts([*film, *[black] * 4]) == []


def test_videos_without_shots_are_one_shot() -> None:
    rng = np.random.default_rng(0)
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert cuts([]) == []
    assert cuts(shot(1, 1)) == []
    assert cuts([black] * 50) == []
    assert cuts(rng.integers(0, 256, (1, 1, 1, 3), np.uint8)) == []
    assert cuts(rng.integers(0, 256, (40, HEIGHT, WIDTH, 3), np.uint8)) == []  # all unrelated


def test_finder_keeps_few_pictures() -> None:
    finder, film = CutFinder(), shot(1, 60) + shot(2, 60)
    for picture in film:
        finder.add(picture)
    tracemalloc.start()
    for picture in 3 * film:
        finder.add(picture)
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown < 4 << 20


# --- from the source to the frames that are read -----------------------------------------------


@st.composite
def ranges(draw: st.DrawFn) -> VideoSpec:
    start, length = draw(st.integers(0, 40)), draw(st.integers(1, 60))
    return VideoSpec(Path("v.mp4"), start=start, end=start + length, step=draw(st.integers(1, 13)))


@given(ranges(), st.sets(st.integers(0, 110), min_size=1))
def test_two_frames_are_of_one_shot_if_no_cut_lies_between(
    spec: VideoSpec, firsts: set[int]
) -> None:
    read = [i for i in range(120) if spec.keeps(i)]
    shots = shots_read(sorted(firsts), spec, len(read))
    for a, first in enumerate(read):
        for b in range(a, len(read)):
            between = any(first < cut <= read[b] for cut in firsts)
            assert (shots.of(a) == shots.of(b)) == (not between)


@given(ranges(), st.data())
def test_shots_of_a_run_are_read_again(spec: VideoSpec, data: st.DataObject) -> None:
    frames = sum(spec.keeps(i) for i in range(120))
    firsts = sorted({0, *data.draw(st.sets(st.integers(0, frames - 1)))})
    record = VideoRecord(
        path="v.mp4",
        crop=None,
        resize=None,
        start=spec.start,
        end=spec.end,
        step=spec.step,
        hash="",
        frames=frames,
        height=9,
        width=16,
        fps=25.0,
        timestamps=tuple(i / 25 for i in range(frames)),
        shots=tuple(ShotRecord(first=f, last=f, start=0.0, end=0.0) for f in firsts),
    )
    assert shots_read(record.source_shots, spec, frames) == record.cuts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of 60 images: a fast camera, with cuts before the images 23 and 40."""
    path = tmp_path / "images"
    path.mkdir()
    for i, picture in enumerate(shot(1, 23, 9) + shot(2, 17, 9) + shot(3, 20, 9)):
        Image.fromarray(picture).save(path / f"{i}.png")
    return path


def test_shots_are_found_in_all_pictures_of_the_range(folder: Path) -> None:
    whole = load_video(folder)
    assert whole.shots == Shots(60, (0, 23, 40))
    part = load_video(VideoSpec(folder, start=5, end=50, step=6))
    assert part.shots == Shots(8, (0, 3, 6))  # at 5, 11, 17, 23, 29, 35, 41, 47
    assert load_video(VideoSpec(folder, start=23, end=40)).shots == Shots(17)
    off = load_video(folder, shots="off")
    assert off.shots == Shots(60)
    assert off.hash == whole.hash


def test_given_shots_are_pictures_of_the_source(folder: Path) -> None:
    assert load_video(folder, shots=[0, 7, 30]).shots == Shots(60, (0, 7, 30))
    assert load_video(folder, shots=[7, 30]).shots == Shots(60, (0, 7, 30))
    assert load_video(folder, shots=[]).shots == Shots(60)
    spec = VideoSpec(folder, start=10, end=40, step=3)
    given = load_video(spec, shots=[0, 7, 12, 13, 14, 30, 55])
    assert given.shots == Shots(10, (0, 1, 2, 7))  # at 10, 13, 16, …, 31


@pytest.mark.parametrize("end", [None, 30, 60])
def test_given_shots_beyond_the_source_are_refused(folder: Path, end: int | None) -> None:
    spec = VideoSpec(folder, end=end)
    assert load_video(spec, shots=[0, 59]).frames == (end or 60)
    with pytest.raises(InputError, match=r"`shots`: .* frame 60, but .* only 60 frames"):
        load_video(spec, shots=[0, 60])


@pytest.mark.parametrize(
    ("shots", "match"),
    [([0, 5, 5], "increasing"), ([7, 3], "increasing"), ([-1, 3], "0"), ("on", "auto, off")],
)
def test_wrong_shots_are_refused(folder: Path, shots: object, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_video(folder, shots=shots)  # type: ignore[arg-type]
    assert "`shots`" in str(caught.value)


@pytest.mark.skipif(not BUNNY.exists(), reason="../shared/video/bunny30s.webm is absent")
def test_cuts_of_a_film_are_found() -> None:
    video = load_video(VideoSpec(BUNNY, resize=(45, 80), start=270, end=390, step=2))
    assert video.shots == Shots(60, (0, 7, 53))  # cuts before 283 and 376


# --- the flag ----------------------------------------------------------------------------------


def test_flag_takes_a_file_of_frames(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "cuts.txt"
    file.write_text("# the first frames\n\n 23\r\n40\n")
    options = parse(flags(folder, "--shots", str(file), "--data_split", "1_1_30"))
    assert options.shots == (23, 40)
    inputs = load_inputs(options, "cpu", SILENT)
    assert inputs.video.shots == Shots(60, (0, 23, 40))
    assert [i for i, name in enumerate(inputs.split) if name == "train"] == [0, 30, 40]
    assert parse(flags(folder)).shots == "auto"
    assert parse(flags(folder, "--shots", "off")).shots == "off"
    assert parse_shots((0, 9)) == (0, 9)


def test_file_may_be_called_as_a_setting(folder: Path) -> None:
    Path("auto").write_text("0\n9\n")
    assert parse(flags(folder, "--shots", "./auto")).shots == (0, 9)
    assert parse(flags(folder, "--shots", "auto")).shots == "auto"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "no frame index"),
        (b"# nothing\n\n", "no frame index"),
        (b"0\n1e3\n", "'1e3'"),
        (b"0\n-4\n", "'-4'"),
        (b"12 40\n", "'12 40'"),
        (b"9" * 5000, "no frame index"),
        (b"\xff\xfe0\x00", "UTF-8"),
        (b"0\n40\n23\n", "increasing"),
        (b"0\n0\n", "increasing"),
    ],
)
def test_wrong_files_are_refused(video_file: Path, content: bytes, match: str) -> None:
    Path("cuts.txt").write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        parse(flags(video_file, "--shots", "cuts.txt"))
    assert "shots" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_files_that_cannot_be_read_are_refused(video_file: Path) -> None:
    with Path("large.txt").open("wb") as file:
        file.truncate(1 << 30)
    Path("folder").mkdir()
    for name, match in (("large.txt", "at most"), ("folder", "regular file"), ("no", "not exist")):
        with pytest.raises(InputError, match=match) as caught:
            parse(flags(video_file, "--shots", name))
        assert str(caught.value).startswith("--shots: ")
