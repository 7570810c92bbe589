"""What --minutes looks at before it plans: pictures of the source, and the quality of a plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from nerv_clip import VideoSpec, load_video
from nerv_clip.cli.quality import Content, content_of, expected_psnr
from nerv_clip.cli.survey import survey
from nerv_clip.video.reader import runs_of_pictures
from tests.samples import moving_picture, write_test_video

levels = st.floats(15, 60)
contents = st.builds(
    lambda detail, motion, more: Content(detail, motion, min(motion + more, 60)),
    levels, levels, st.floats(0, 15),
)  # fmt: skip
sizes, epochs = st.floats(0.02, 4), st.floats(0.2, 100)


@given(contents, sizes, epochs, st.sampled_from([1.0, 1.5, 2.0]), st.integers(1, 64))
def test_expected_quality_grows_with_all_that_costs_time(
    content: Content, size: float, epochs: float, smaller: float, step: int
) -> None:
    def expected(**changed: float) -> float:
        plan = {"size": size, "epochs": epochs, "smaller": smaller, "step": step, **changed}
        return expected_psnr(content, train=100, **plan)  # type: ignore[arg-type]

    here = expected()
    assert expected(epochs=1.5 * epochs) >= here - 1e-6
    assert expected(step=2 * step) <= here
    if smaller >= 2:
        assert here <= content.detail + 1e-6
    still = content._replace(motion=60.0, next_motion=60.0)
    plan = {"size": size, "epochs": epochs, "train": 100.0, "smaller": smaller}
    assert expected_psnr(still, **plan, step=step) >= here - 1e-6


def test_a_hard_video_gets_small_frames_where_a_static_one_does_not() -> None:
    few = {"size": 0.15, "epochs": 6.0, "train": 200.0}
    moving, static = Content(33.0, 24.0, 31.0), Content(37.0, 42.0, 48.0)
    for content, gains in ((moving, True), (static, False)):
        half = expected_psnr(content, size=0.2, epochs=12.0, train=200, smaller=2, step=1)
        assert (half > expected_psnr(content, **few, smaller=1, step=1)) == gains


def test_content_of_known_pictures() -> None:
    rng = np.random.default_rng(0)
    smooth = torch.full((5, 3, 32, 48), 90, dtype=torch.uint8)
    assert content_of([smooth]) == Content(60.0, 60.0, 60.0)
    noise = torch.from_numpy(rng.integers(0, 256, (5, 3, 32, 48), dtype=np.uint8))
    hard = content_of([noise])
    assert max(hard) < 15
    assert content_of([smooth, noise]).motion == pytest.approx((60 + hard.motion) / 2)
    moving = torch.from_numpy(moving_picture(5, 48, 80)).permute(0, 3, 1, 2)
    found = content_of([moving])
    assert found.next_motion > found.motion  # farther frames differ more
    assert found.after(1) == pytest.approx(found.next_motion)
    assert found.after(4) == pytest.approx(found.motion)


def test_runs_of_a_file_are_consecutive_frames_from_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_test_video(path, 60)
    video = load_video(VideoSpec(path))
    frames = video.read(range(60)).permute(0, 2, 3, 1).numpy()
    runs = list(runs_of_pictures(path, None, [0.0, 0.3, 0.99], 4))
    firsts = []
    for run in runs:
        first = next(i for i in range(60) if np.array_equal(frames[i], run[0]))
        assert np.array_equal(np.stack(run), frames[first : first + 4])
        firsts.append(first)
    assert firsts == [0, 18, 30]  # one key frame, from which 30 frames are skipped at most


def test_runs_of_a_folder_and_of_an_animation(tmp_path: Path) -> None:
    pictures = [Image.fromarray(pixels) for pixels in moving_picture(12, 16, 24)]
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")  # 10 comes after 9
    runs = list(runs_of_pictures(tmp_path, None, [0.0, 0.02, 1.0], 3))
    shown = [np.asarray(picture).tobytes() for picture in pictures]
    assert [shown.index(run[0].tobytes()) for run in runs] == [0, 9]
    animation = tmp_path / "a.webp"
    pictures[0].save(animation, save_all=True, append_images=pictures[1:], lossless=True)
    assert list(runs_of_pictures(animation, None, [0.5], 3)) == []


def test_a_black_opening_is_not_taken_for_the_video(tmp_path: Path) -> None:
    for index, pixels in enumerate(moving_picture(40, 32, 48)):
        Image.fromarray(pixels * (index > 14)).save(tmp_path / f"{index:02}.png")
    spec = VideoSpec(tmp_path)

    def yardstick(frame: Tensor) -> VideoSpec:
        return replace(spec, resize=(16, 24))

    source = survey(spec, yardstick)
    assert source.frames == 40
    assert source.typical.float().mean() > 30
    assert source.typical.shape == (3, 32, 48)
    assert source.content.motion < 55
