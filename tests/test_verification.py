"""The verdict on synthetic embeddings, and the script on a small trained run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nerv_clip import InputError, ModelConfig, NeRVClip, Run, split_frames
from nerv_clip.cli import main_guard
from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.files import file_hash
from nerv_clip.models.solver import solve
from nerv_clip.progress import SilentProgress
from nerv_clip.similarity import Array, unit
from nerv_clip.verification import (
    Evidence,
    Verification,
    gather,
    to_json,
    verify_evidence,
)
from nerv_clip.verification.baselines import SPHERICAL
from nerv_clip.verification.measures import Measures
from nerv_clip.verification.names import MEASURES
from nerv_clip.verification.statistics import (
    DRAWS,
    DRAWS_PER_STEP,
    Interval,
    PermutationResult,
)
from nerv_clip.verification.verdict import Facts, judge
from nerv_clip.video.times import frame_time
from tests.runs import CLIP_FLAGS, train
from tests.samples import write_test_video, write_tiny_clip
from tests.test_statistics import noise
from train.test_clip_learning import main

FRAMES, DIM = 160, 16
KITCHEN = Path(__file__).parents[1] / "checkpoints" / "kitchen"


class RecordedProgress(SilentProgress):
    """Records the totals and the steps of its tasks."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.steps: list[int] = []

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[RecordedTask]:
        self.totals.append(total)
        yield RecordedTask(self.steps)


class RecordedTask:
    def __init__(self, steps: list[int]) -> None:
        self.steps = steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps.append(steps)


def evidence(predicted: Array, true: Array, split: str = "3_3_4") -> Evidence:
    """Evidence with given embeddings, and an untrained network for the rest."""
    config = ModelConfig(modelsize=0.05, lower_width=4, predict_clip=True, clip_dim=DIM)
    torch.manual_seed(0)
    frames = len(true)
    model = NeRVClip(solve(config, frames, frames, 48, 80)).eval()
    run_config = Run(KITCHEN).read_config()
    video = replace(run_config.video, timestamps=tuple(i / 25 for i in range(frames)))
    return Evidence(
        checkpoint=Path("model_best.pth"),
        checkpoint_hash="",
        config=replace(run_config, video=video),
        model=model,
        split=split_frames(frames, split),
        times=np.array([frame_time(i, frames) for i in range(frames)]),
        true=true,
        predicted=unit(predicted),
        stored={},
    )


def changing(seed: int = 0) -> Array:
    """True embeddings: a constant, a slow change, and a little noise in each frame."""
    slow = noise(FRAMES, DIM, seed, memory=0.8)
    return unit(0.6 * np.ones(DIM) / 4 + slow + 0.1 * noise(FRAMES, DIM, seed + 50, memory=0.0))


def verdict(predicted: Array, true: Array, split: str = "3_3_4") -> str:
    return verify_evidence(evidence(predicted, true, split)).verdict.label


def test_prediction_close_to_the_truth_generalises() -> None:
    true = changing()
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true) == "learned and generalises"
    interpolation = unit(
        interpolated(true, [i for i in range(FRAMES) if i % 4 != 3], spherical=True)
    )
    assert verdict(interpolation, true) == "learned and generalises"  # matching it is enough


def test_prediction_right_only_on_train_frames_memorised() -> None:
    true = changing()
    predicted = true.copy()
    predicted[3::4] = noise(FRAMES, DIM, 7)[3::4]
    assert verdict(predicted, true) == "memorised the train frames"


def test_prediction_blurred_in_time_is_no_better_than_interpolation() -> None:
    true = changing()
    kernel = np.ones(9) / 9
    blurred = np.stack([np.convolve(column, kernel, "same") for column in true.T], 1)
    assert verdict(blurred, true) == "no better than interpolation"


def test_without_held_out_frames_generalisation_is_untested() -> None:
    true = changing()
    expected = "fits the train frames; generalisation untested"
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true, "1_1_1") == expected


def test_videos_that_are_static_or_short_have_too_few_independent_frames() -> None:
    base = np.ones((FRAMES, DIM))
    drift = np.linspace(0, 1, FRAMES)[:, None] * np.random.default_rng(0).standard_normal(DIM)
    true = unit(base + drift)
    assert verdict(true, true) == "too few independent frames"
    short = changing()[:18]
    assert verdict(short, short) == "too few independent frames"
    assert "circular shifts" in verify_evidence(evidence(short, short)).verdict.sentence


def test_smooth_noise_is_no_evidence() -> None:
    """Smooth noise around the mean: high cosine similarity, as of an untrained network."""
    true = changing()
    predicted = unit(0.6 * np.ones(DIM) / 4 + noise(FRAMES, DIM, 31, 0.8))
    found = verify_evidence(evidence(predicted, true))
    assert found.verdict.label == "no evidence"
    assert "p =" in found.verdict.sentence


INSIDE = Interval(0.5, 0.4, 0.6)
PASSED = PermutationResult(0.9, 0.001, 0.001)
GOOD = Facts(100, 20.0, 25, PASSED, PASSED, INSIDE, INSIDE, INSIDE, INSIDE)


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, "learned and generalises"),
        ({"over_interpolation": Interval(-0.01, -0.019, 0.0)}, "learned and generalises"),
        ({"over_interpolation": Interval(-0.01, -0.021, 0.0)}, "no better than interpolation"),
        ({"over_nearest": Interval(0.01, -0.01, 0.03)}, "no better than interpolation"),
        ({"over_nearest": Interval(-0.1, -0.2, -0.01)}, "memorised the train frames"),
        (
            {
                "over_nearest": Interval(-0.1, -0.2, -0.01),
                "train_over_interpolation": Interval(0, -0.1, 0.1),
            },
            "no better than interpolation",
        ),
        ({"held_out": 7}, "fits the train frames; generalisation untested"),
        (
            {"train_over_interpolation": None},
            "fits the train frames; generalisation untested",
        ),
        ({"shift": PermutationResult(0.5, 0.05, 0.001)}, "no evidence"),
        ({"blocks": PermutationResult(0.5, 0.05, 0.001)}, "no evidence"),
        ({"centred_train": Interval(0.1, 0.0, 0.2)}, "no evidence"),
        ({"effective_sample_size": 7.9}, "too few independent frames"),
        ({"shift": PermutationResult(0.9, 0.05, 0.05)}, "too few independent frames"),
    ],
)
def test_rule_changes_label_at_its_thresholds(change: dict[str, object], label: str) -> None:
    assert judge(GOOD._replace(**change)).label == label


def test_rows_have_the_measures_of_each_split() -> None:
    true = changing()
    progress = RecordedProgress()
    predicted = true + 0.1 * noise(FRAMES, DIM, 9, 0.0)
    found = verify_evidence(evidence(predicted, true), progress)
    steps = len(found.rows) + DRAWS // DRAWS_PER_STEP
    assert progress.totals == [steps]
    assert sum(progress.steps) == steps
    assert set(MEASURES) == set(Measures._fields)
    rows = {row.name: row for row in found.rows}
    assert len(rows) == 14
    assert found.splits["all"].frames == FRAMES
    assert found.splits["val"].frames == FRAMES // 4
    for name in ("teacher on the pixel blend", "teacher on the reconstruction"):
        assert rows[name].missing == "needs the source video"
    chance = ("random unit vectors", "shuffled frame-embedding pairs")
    for name in (*chance, "temporal shuffle: circular shifts"):
        measures = rows[name].measures["all"]
        assert measures is not None
        assert measures.r1.mean < 0.05
        assert measures.near.mean < 0.1
        assert abs(measures.centred.mean) < 0.1
    held = rows["nearest train frame"].measures["val"]
    assert held is not None
    assert held.r1.mean == 0  # the embedding of another frame
    assert held.near.mean == 1
    best = rows[found.splits["val"].best_trivial].measures["val"]
    assert best is not None
    assert best.skill.mean == pytest.approx(0)
    assert found.splits["val"].best_trivial == SPHERICAL
    own = rows["prediction"].measures["all"]
    assert own is not None
    assert own.cosine.mean == pytest.approx(found.shifts[0])
    assert own.cosine.low < own.cosine.mean < own.cosine.high
    assert verify_evidence(found.evidence).verdict == found.verdict  # seeded
    assert len(found.per_frame) == FRAMES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, video_file: Path, teacher: str) -> Path:
    """A small trained run with held-out frames, and its teacher's embeddings."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return (folder / train(video_file, *CLIP_FLAGS, "--clip_model", teacher)).resolve()


def test_script_prints_the_verdict_and_writes_the_report(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--checkpoint", str(run / "model_best.pth"), "--outf", "checked"])
    printed = capsys.readouterr().out
    assert printed.startswith("verdict: too few independent frames")  # twelve frames
    assert "held-out frames (4)" in printed
    folder = Path("output/checked")
    content = json.loads((folder / "verification.json").read_text())
    assert content["verdict"]["label"] == "too few independent frames"
    assert len(content["rows"]) == 14
    assert all(not row["missing"] for row in content["rows"])
    per_frame = pd.read_csv(folder / "per_frame.csv")
    stored = pd.read_csv(run / "clip_similarity_per_frame.csv")
    np.testing.assert_allclose(
        per_frame["cosine: prediction"], stored["clip_similarity"], atol=1e-3
    )
    page = (folder / "report.html").read_text()
    assert "too few independent frames" in page
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page  # nothing is loaded from the network


def test_stored_hash_is_that_of_the_loaded_checkpoint(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "moving")
    best = tmp_path / "moving" / "model_best.pth"
    found = gather(best)
    before = file_hash(best)
    best.write_bytes(best.read_bytes() + b"of a later epoch")
    assert to_json(verify_evidence(found))["checkpoint_hash"] == before


def test_embeddings_that_are_not_stored_are_computed_from_the_video(
    run: Path, video_file: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    (bare / "baselines.npz").unlink()
    without = gather(bare / "model_best.pth")
    assert without.stored == {}
    missing = [row.missing for row in verify_evidence(without).rows]
    assert missing.count("needs the source video") == 3
    (bare / "true.npy").unlink()
    with pytest.raises(InputError, match=r"no true\.npy.*`data_path`"):
        gather(bare / "model_best.pth")
    found = gather(bare / "model_best.pth", video_file)
    kept = gather(run / "model_best.pth")
    np.testing.assert_allclose(found.true, kept.true, atol=2e-3)
    for name, values in kept.stored.items():
        np.testing.assert_allclose(found.stored[name], values, atol=2e-3)


def test_unusable_checkpoints_are_refused_with_one_line(
    run: Path,
    video_file: Path,
    teacher: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*argv: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["test_clip_learning.py", *argv])
        with pytest.raises(SystemExit) as left:
            main_guard(main)
        assert left.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert not Path("output/clip_verification").exists()
        return line

    best = str(run / "model_best.pth")
    assert "--checkpoint" in refused()
    assert "no checkpoint" in refused("--checkpoint", "nowhere/model_best.pth")
    other = tmp_path / "other.mp4"
    write_test_video(other, height=48, width=96)
    assert "not the one that the run was trained on" in refused(
        "--checkpoint", best, "--data_path", str(other)
    )
    pixels = train(video_file, "-e", "1")
    assert "no CLIP head" in refused("--checkpoint", str(pixels / "model_best.pth"))
    shutil.copy(run / "model_best.pth", pixels / "model_best.pth")
    assert "does not belong to the config.json" in refused(
        "--checkpoint", str(pixels / "model_best.pth")
    )
    semantic = ("--clip_model", teacher, "--clip_dim", "16")
    before = train(video_file, "-e", "1", "--clip_input", *semantic, "--overwrite")
    assert "circular" in refused("--checkpoint", str(before / "model_best.pth"))
    alone = ["--vid_end", "1", "--data_split", "1_1_1", "--overwrite"]
    single = train(video_file, *CLIP_FLAGS, "--clip_model", teacher, *alone)
    assert "single frame" in refused("--checkpoint", str(single / "model_best.pth"))
    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (damaged / "true.npy").write_bytes(b"nothing")
    assert "damaged" in refused("--checkpoint", str(damaged / "model_best.pth"))
    np.save(damaged / "true.npy", np.zeros((3, 16), np.float16))
    assert "(3, 16)" in refused("--checkpoint", str(damaged / "model_best.pth"))
    shutil.copy(run / "true.npy", damaged)
    (damaged / "baselines.npz").write_bytes((run / "baselines.npz").read_bytes()[:-100])
    assert "baselines.npz is damaged" in refused("--checkpoint", str(damaged / "model_best.pth"))


def test_another_teacher_under_the_same_name_is_refused(run: Path, video_file: Path) -> None:
    """The weights of the run's teacher were replaced after training."""
    bare = Path("bare")
    shutil.copytree(run, bare)
    (bare / "true.npy").unlink()
    config = json.loads((bare / "config.json").read_text())
    config["teacher"]["model"] = write_tiny_clip(Path("replaced").resolve(), seed=5)
    (bare / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="was trained with the teacher"):
        gather(bare / "model_best.pth", video_file)


def test_verification_with_true_embeddings_as_prediction_is_perfect(run: Path) -> None:
    found = verify_evidence(gather(run / "model_best.pth"))
    assert isinstance(found, Verification)
    other = verify_evidence(replace(found.evidence, predicted=found.evidence.true))
    own = other.rows[0].measures["all"]
    assert own is not None
    assert own.cosine.mean == pytest.approx(1)
    assert own.r1.mean == pytest.approx(1, abs=0.2)  # identical frames share R@1
