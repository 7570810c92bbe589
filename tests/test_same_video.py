"""A video rendered or decoded on another machine is recognised by what its frames show."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nerv_clip import InputError, Run, VideoSpec, evaluate, load_video
from nerv_clip.demo.facts import Labels, facts_of
from nerv_clip.demo.kitchen import SAMPLES, SIZE, render_frame
from nerv_clip.progress import SILENT
from nerv_clip.runs.same_video import CELL, TOLERANCE, check_video
from nerv_clip.video.comparison import read_pairs
from nerv_clip.video.frame_store import MemoryStore
from nerv_clip.video.video import Video
from tests.runs import flags, train
from tests.samples import moving_picture
from train.train_nerv_clip import main

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
FACTS_OF_151 = (  # in the kitchen of seed 0, on every machine
    "bottle, black bottle, black thing, fire on, fridge closed, hand, knife, lights off, night, "
    "steam off, tap off, white knife, white thing"
)


class Messages:
    """A progress that keeps messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.task = SILENT.task

    def message(self, line: str) -> None:
        self.lines.append(line)


def video_of(frames: Tensor) -> Video:
    """A video of frames, uint8 (T, 3, H, W), with a hash that no run has."""
    store = MemoryStore()
    for frame in frames:
        store.append(frame)
    shape = (len(frames), frames.shape[2], frames.shape[3])
    times = tuple(i / 25 for i in range(len(frames)))
    return Video(VideoSpec(Path("other")), store, shape, times, "other", torch.device("cpu"))


@pytest.fixture(scope="module")
def kitchen() -> Tensor:
    """The kitchen of seed 0 as another run's stream shows it: uint8 (300, 3, 180, 320)."""
    stream = CHECKPOINTS / "kitchen_baseline" / "comparison.mp4"
    frames = np.stack([pair.true for pair in read_pairs(stream, range(300), *SIZE)])
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()


def rendered(seed: int, index: int) -> tuple[Tensor, Labels]:
    """A frame (3, H, W) of a kitchen, rendered on this machine, with its labels."""
    pytest.importorskip("embreex", reason="embreex is not installed (no wheel for Linux on ARM)")
    pixels, labels, _ = render_frame(seed, 300, index, SIZE, SAMPLES)
    return torch.from_numpy(pixels).permute(2, 0, 1), labels


def refused(video: Video, name: str = "kitchen") -> str:
    with pytest.raises(InputError, match="not the one that the run was trained on") as caught:
        check_video(video, Run(CHECKPOINTS / name))
    return str(caught.value)


def test_freshly_rendered_kitchen_is_that_of_the_shipped_runs(kitchen: Tensor) -> None:
    frames = kitchen.clone()
    frames[151], labels = rendered(0, 151)
    assert facts_of(labels) == set(FACTS_OF_151.split(", "))
    progress = Messages()
    check_video(video_of(frames), Run(CHECKPOINTS / "kitchen"), progress)
    (line,) = progress.lines
    assert "differ slightly" in line


def test_other_videos_are_refused(kitchen: Tensor) -> None:
    assert "frame 0 differs by up to" in refused(video_of(kitchen.roll(1, 0)))  # by a frame
    assert "frame 0 differs" in refused(video_of(kitchen.roll(1, 3)))  # by a pixel
    assert "frame 0 differs" in refused(video_of(kitchen.flip(3)))
    assert "300 frames of 179x320, the run has 300 of 180x320" in refused(
        video_of(kitchen[:, :, 1:])
    )
    assert "299 frames" in refused(video_of(kitchen[1:]))
    changed = kitchen.clone()
    changed[5, :, 80 : 80 + 2 * CELL, 80 : 80 + 2 * CELL] ^= 64
    assert "frame 5 differs" in refused(video_of(changed))


def test_kitchen_of_another_seed_is_refused(kitchen: Tensor) -> None:
    frames = kitchen.clone()
    frames[0], _ = rendered(1, 0)
    assert f"{TOLERANCE} are allowed" in refused(video_of(frames))


@pytest.fixture
def similar(tmp_path: Path) -> Path:
    """The pictures of the test video, with 3 % of the values changed by up to two levels."""
    folder = tmp_path / "similar"
    folder.mkdir()
    random = np.random.default_rng(0)
    pictures = moving_picture(12, 48, 80)
    noise = random.integers(-2, 3, pictures.shape) * (random.random(pictures.shape) < 0.03)
    for index, picture in enumerate((pictures + noise).clip(0, 255).astype(np.uint8)):
        Image.fromarray(picture).save(folder / f"{index:04}.png")
    return folder


def test_run_is_evaluated_on_similar_pixels_but_not_resumed(
    run: Path, video_file: Path, similar: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = evaluate(run).metrics.train.psnr
    main([*flags(similar), "--eval_only"])
    assert "differ slightly" in capsys.readouterr().err
    after = evaluate(run, load_video(similar)).metrics.train.psnr
    assert after == pytest.approx(before, abs=0.05)
    with pytest.raises(InputError, match="other values of `video`"):
        train(similar)
    shutil.copy(video_file, run / "comparison.mp4")  # it shows other pictures
    with pytest.raises(InputError, match="differs"):
        evaluate(run, load_video(similar))
    for content in (b"nothing", None):
        (run / "comparison.mp4").unlink()
        if content is not None:
            (run / "comparison.mp4").write_bytes(content)
        with pytest.raises(InputError, match=r"no readable comparison\.mp4"):
            evaluate(run, load_video(similar))
        assert evaluate(run).metrics.train.psnr == pytest.approx(before, abs=1e-6)
