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

from nerv_clip import InputError, ModelConfig, NeRVClip, Run, VideoNetwork, split_frames
from nerv_clip.cli import main_guard
from nerv_clip.evaluation.interpolation import interpolated, nearest
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
from nerv_clip.verification.statistics import Interval, ShiftTest
from nerv_clip.verification.tables import COMPONENTS, CUBIC, PROCESS, head_bytes
from nerv_clip.verification.verdict import (
    BEYOND,
    EQUIVALENT,
    NO_EVIDENCE,
    REPRODUCES,
    UNDECIDABLE,
    WORSE,
    Facts,
    judge,
)
from nerv_clip.video.split import train_indices
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

    def resize(self, total: int) -> None:
        """Ignored."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps.append(steps)


def evidence(predicted: Array, true: Array, split: str = "3_3_4") -> Evidence:
    """Evidence with given embeddings, and an untrained network for the rest."""
    config = ModelConfig(modelsize=0.05, lower_width=4, predict_clip=True, clip_dim=DIM)
    torch.manual_seed(0)
    frames = len(true)
    model = VideoNetwork.of(NeRVClip(solve(config, frames, frames, 48, 80))).eval()
    run_config = Run(KITCHEN).read_config()
    times = tuple(i / 25 for i in range(frames))
    video = replace(run_config.video, frames=frames, timestamps=times, shots=())
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


def test_only_what_interpolation_cannot_do_is_beyond_it() -> None:
    true = changing()
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true) == BEYOND
    interpolation = unit(interpolated(true, train_indices(split_frames(FRAMES, "3_3_4")),
                                      spherical=True))  # fmt: skip
    found = verify_evidence(evidence(interpolation, true)).verdict
    assert found.label == EQUIVALENT
    assert "slerp_loss_weight 1" in found.sentence  # as the shipped kitchen was trained


def test_prediction_right_only_on_train_frames_is_no_evidence() -> None:
    true = changing()
    predicted = true.copy()
    predicted[3::4] = noise(FRAMES, DIM, 7)[3::4]
    assert verdict(predicted, true) == NO_EVIDENCE


def test_nearest_train_frame_is_worse_than_interpolation() -> None:
    true = changing()
    train = train_indices(split_frames(FRAMES, "3_3_4"))
    assert verdict(nearest(true, train), true) == WORSE


def test_without_held_out_frames_only_reproduction_is_tested() -> None:
    true = changing()
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true, "1_1_1") == REPRODUCES
    assert verdict(noise(FRAMES, DIM, 9), true, "1_1_1") == NO_EVIDENCE


def test_videos_that_are_static_smooth_or_short_are_undecidable() -> None:
    base = np.ones((FRAMES, DIM))
    assert verdict(base, unit(base)) == UNDECIDABLE
    turns = np.linspace(0, 12 * np.pi, FRAMES)[:, None]
    turning = unit(base + np.cos(turns) * np.eye(DIM)[0] + np.sin(turns) * np.eye(DIM)[1])
    found = verify_evidence(evidence(turning, turning)).verdict
    assert found.label == UNDECIDABLE
    assert "periodically" in found.sentence
    short = changing()[:60]
    found = verify_evidence(evidence(short, short)).verdict
    assert found.label == UNDECIDABLE
    assert "smallest possible p" in found.sentence


def test_independent_guess_with_the_videos_trend_is_no_evidence() -> None:
    """Day turns into night, and the guess knows only this: high similarity, but no deviation."""
    trend = 2 * np.linspace(-1, 1, FRAMES)[:, None] * np.eye(DIM)[0]
    true = unit(0.25 * np.ones(DIM) + trend + noise(FRAMES, DIM, 1, 0.8))
    guess = unit(0.25 * np.ones(DIM) + trend + noise(FRAMES, DIM, 31, 0.8))
    found = verify_evidence(evidence(guess, true))
    prediction = found.rows[0].measures["val"]
    assert prediction is not None
    assert prediction.centred.mean > 0.3
    assert found.verdict.label == NO_EVIDENCE
    assert "p =" in found.verdict.sentence


INSIDE = Interval(0.5, 0.4, 0.6)
PASSED = ShiftTest(0.9, 0.01, 0.01, 20.0)
LEVEL = Interval(0.0, -0.009, 0.009)  # within 10 % of a gain of 0.1
GAIN = Interval(0.1, 0.08, 0.12)
GOOD = Facts(25, PASSED, INSIDE, "slerp", INSIDE, GAIN, LEVEL, 0.0)


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({}, EQUIVALENT),
        ({"over_interpolation": Interval(0.0, -0.0101, 0.009)}, UNDECIDABLE),
        ({"over_interpolation": Interval(0.0, -0.009, 0.0101)}, UNDECIDABLE),
        ({"over_interpolation": Interval(-0.005, -0.009, -0.001)}, EQUIVALENT),
        ({"over_interpolation": Interval(-0.02, -0.04, -0.001)}, WORSE),
        ({"over_interpolation": Interval(0.005, 0.001, 0.009)}, EQUIVALENT),
        ({"over_interpolation": Interval(0.02, 0.001, 0.04)}, BEYOND),
        ({"gain": Interval(0.1, 0.0, 0.2)}, UNDECIDABLE),
        ({"gain": None}, UNDECIDABLE),
        ({"over_interpolation": None}, UNDECIDABLE),
        ({"centred": Interval(0.1, 0.0, 0.2)}, NO_EVIDENCE),
        ({"test": PASSED._replace(p=0.05)}, NO_EVIDENCE),
        ({"test": PASSED._replace(floor=0.05)}, UNDECIDABLE),
        ({"test": PASSED._replace(effective=7.9)}, UNDECIDABLE),
        ({"held_out": 7}, REPRODUCES),
        ({"held_out": 7, "over_nearest_train": Interval(0.1, 0.0, 0.2)}, NO_EVIDENCE),
        ({"held_out": 0, "over_nearest_train": None}, UNDECIDABLE),
    ],
)
def test_rule_changes_label_at_its_thresholds(change: dict[str, object], label: str) -> None:
    assert judge(GOOD._replace(**change)).label == label


def test_rows_have_the_measures_of_each_split() -> None:
    true = changing()
    progress = RecordedProgress()
    predicted = true + 0.1 * noise(FRAMES, DIM, 9, 0.0)
    found = verify_evidence(evidence(predicted, true), progress)
    assert progress.totals == [len(found.rows)]
    assert sum(progress.steps) == len(found.rows)
    assert set(MEASURES) == set(Measures._fields)
    rows = {row.name: row for row in found.rows}
    assert len(rows) == 17
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


def test_tables_take_at_most_the_bytes_of_the_head() -> None:
    true = changing()
    found = verify_evidence(evidence(true, true))
    rows = {row.name: row for row in found.rows}
    budget = rows["prediction"].size
    assert budget == head_bytes(found.evidence.model, found.evidence.config.train.bits)
    for name in (COMPONENTS, CUBIC, PROCESS):
        row = rows[name]
        assert row.size is not None, row.missing
        assert row.size <= budget
        assert row.measures["train"] is None  # it stores them
        measures = row.measures["val"]
        assert measures is not None
        assert measures.centred.mean > 0.3


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
    assert printed.startswith("verdict: no evidence")  # of twelve frames, four are held out
    assert "held-out frames (4)" in printed
    folder = Path("output/checked")
    content = json.loads((folder / "verification.json").read_text())
    assert content["verdict"]["label"] == "no evidence"
    assert len(content["rows"]) == 17
    missing = {row["name"]: row["missing"] for row in content["rows"] if row["kind"] != "table"}
    assert not any(missing.values())
    per_frame = pd.read_csv(folder / "per_frame.csv")
    stored = pd.read_csv(run / "clip_similarity_per_frame.csv")
    np.testing.assert_allclose(
        per_frame["cosine: prediction"], stored["clip_similarity"], atol=1e-3
    )
    page = (folder / "report.html").read_text()
    assert "no evidence" in page
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
