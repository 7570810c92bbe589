"""The verdict on embeddings whose nature is known, and the script on a small real run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nerv_clip import InputError, ModelConfig, NeRVClip, split_frames
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.files import file_hash
from nerv_clip.models.solver import solve
from nerv_clip.similarity import Array, unit
from nerv_clip.verification import STEPS, Evidence, Verification, gather, plain, verify
from nerv_clip.verification.baselines import SPHERICAL
from nerv_clip.verification.statistics import Interval, Outcome
from nerv_clip.verification.verdict import Facts, judge
from nerv_clip.video.times import frame_time
from tests.samples import write_test_video, write_tiny_clip
from tests.test_session import CLIP_FLAGS, train
from tests.test_statistics import noise
from train.test_clip_learning import main

FRAMES, DIM = 160, 16


def evidence(predicted: Array, true: Array, split: str = "3_3_4") -> Evidence:
    """Embeddings as if a small network had made them."""
    config = ModelConfig(modelsize=0.05, lower_width=4, predict_clip=True, clip_dim=DIM)
    torch.manual_seed(0)
    frames = len(true)
    model = NeRVClip(solve(config, frames, frames, 48, 80)).eval()
    return Evidence(
        checkpoint=Path("model_best.pth"),
        checkpoint_hash="",
        config={"clip": {"timestamps": [i / 25 for i in range(frames)]}},
        model=model,
        split=split_frames(frames, split),
        times=np.array([frame_time(i, frames) for i in range(frames)]),
        true=true,
        predicted=unit(predicted),
        stored={},
    )


def changing(seed: int = 0) -> Array:
    """True embeddings: what they share, a slow change, and a little that is each frame's own."""
    slow = noise(FRAMES, DIM, seed, memory=0.8)
    return unit(0.6 * np.ones(DIM) / 4 + slow + 0.1 * noise(FRAMES, DIM, seed + 50, memory=0.0))


def verdict(predicted: Array, true: Array, split: str = "3_3_4") -> str:
    return verify(evidence(predicted, true, split)).verdict.label


def test_what_draws_every_frame_nearly_right_generalises() -> None:
    true = changing()
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true) == "learned and generalises"
    level = unit(interpolated(true, [i for i in range(FRAMES) if i % 4 != 3], spherical=True))
    assert verdict(level, true) == "learned and generalises"  # level with interpolation is enough


def test_what_only_knows_its_train_frames_memorised() -> None:
    true = changing()
    predicted = true.copy()
    predicted[3::4] = noise(FRAMES, DIM, 7)[3::4]
    assert verdict(predicted, true) == "memorised the train frames"


def test_what_is_blurred_in_time_is_no_better_than_interpolation() -> None:
    true = changing()
    kernel = np.ones(9) / 9
    blurred = np.stack([np.convolve(column, kernel, "same") for column in true.T], 1)
    assert verdict(blurred, true) == "no better than interpolation"


def test_without_held_out_frames_generalisation_is_untested() -> None:
    true = changing()
    expected = "fits the train frames; generalisation untested"
    assert verdict(true + 0.02 * noise(FRAMES, DIM, 9, 0.0), true, "1_1_1") == expected


def test_what_hardly_changes_cannot_be_judged() -> None:
    base = np.ones((FRAMES, DIM))
    drift = np.linspace(0, 1, FRAMES)[:, None] * np.random.default_rng(0).standard_normal(DIM)
    true = unit(base + drift)
    assert verdict(true, true) == "too few independent frames"
    short = changing()[:18]
    assert verdict(short, short) == "too few independent frames"
    assert "circular shifts" in verify(evidence(short, short)).verdict.sentence


def test_smooth_noise_is_no_evidence() -> None:
    """Neighbours alike, mean shared, as an untrained network's: high cosine and no knowledge."""
    true = changing()
    predicted = unit(0.6 * np.ones(DIM) / 4 + noise(FRAMES, DIM, 31, 0.8))
    found = verify(evidence(predicted, true))
    assert found.verdict.label == "no evidence"
    assert "p =" in found.verdict.sentence


INSIDE = Interval(0.5, 0.4, 0.6)
PASSED = Outcome(0.9, 0.001, 0.001)
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
            {"over_nearest": Interval(-0.1, -0.2, -0.01), "train_ahead": Interval(0, -0.1, 0.1)},
            "no better than interpolation",
        ),
        ({"held_out": 7}, "fits the train frames; generalisation untested"),
        ({"shift": Outcome(0.5, 0.05, 0.001)}, "no evidence"),
        ({"blocks": Outcome(0.5, 0.05, 0.001)}, "no evidence"),
        ({"centred_train": Interval(0.1, 0.0, 0.2)}, "no evidence"),
        ({"independent": 7.9}, "too few independent frames"),
        ({"shift": Outcome(0.9, 0.05, 0.05)}, "too few independent frames"),
    ],
)
def test_the_rule_at_its_thresholds(change: dict[str, object], label: str) -> None:
    assert judge(GOOD._replace(**change)).label == label


def test_rows_figures_and_their_parts() -> None:
    true = changing()
    told: list[int] = []
    found = verify(evidence(true + 0.1 * noise(FRAMES, DIM, 9, 0.0), true), told.append)
    assert sum(told) == STEPS
    rows = {row.name: row for row in found.rows}
    assert len(rows) == 14
    assert found.parts["all"].frames == FRAMES
    assert found.parts["val"].frames == FRAMES // 4
    for name in ("teacher on the pixel blend", "teacher on the reconstruction"):
        assert rows[name].missing == "needs the source video"
    chance = ("random unit vectors", "shuffled frame-embedding pairs")
    for name in (*chance, "temporal shuffle: circular shifts"):
        figures = rows[name].figures["all"]
        assert figures is not None
        assert figures.r1.mean < 0.05
        assert figures.near.mean < 0.1
        assert abs(figures.centred.mean) < 0.1
    held = rows["nearest train frame"].figures["val"]
    assert held is not None
    assert held.r1.mean == 0  # it is another frame's
    assert held.near.mean == 1
    best = rows[found.parts["val"].best_trivial].figures["val"]
    assert best is not None
    assert best.skill.mean == pytest.approx(0)
    assert found.parts["val"].best_trivial == SPHERICAL
    own = rows["prediction"].figures["all"]
    assert own is not None
    assert own.cosine.mean == pytest.approx(found.shifts[0])
    assert own.cosine.low < own.cosine.mean < own.cosine.high
    assert verify(found.evidence).verdict == found.verdict  # seeded
    assert len(found.per_frame) == FRAMES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, video_file: Path, teacher: str) -> Path:
    """A small trained run with held-out frames, and its teacher's embeddings."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return (folder / train(video_file, *CLIP_FLAGS, "--clip_model", teacher)).resolve()


def test_the_script_writes_its_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--checkpoint", str(run / "model_best.pth"), "--outf", "checked"])
    said = capsys.readouterr().out
    assert said.startswith("verdict: too few independent frames")  # twelve frames
    assert "held-out frames (4)" in said
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
    assert 'src="http' not in page  # nothing is fetched


def test_a_verification_is_of_the_checkpoint_that_it_read(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "moving")
    best = tmp_path / "moving" / "model_best.pth"
    found = gather(best, Terminal(quiet=True))
    before = file_hash(best)
    best.write_bytes(best.read_bytes() + b"of a later epoch")
    assert plain(verify(found))["checkpoint_hash"] == before


def test_what_the_run_did_not_store_comes_from_the_video(
    run: Path, video_file: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(run, bare)
    (bare / "baselines.npz").unlink()
    terminal = Terminal(quiet=True)
    without = gather(bare / "model_best.pth", terminal)
    assert without.stored == {}
    missing = [row.missing for row in verify(without).rows]
    assert missing.count("needs the source video") == 3
    (bare / "true.npy").unlink()
    with pytest.raises(InputError, match=r"no true\.npy.*--data_path"):
        gather(bare / "model_best.pth", terminal)
    found = gather(bare / "model_best.pth", terminal, video_file)
    kept = gather(run / "model_best.pth", terminal)
    np.testing.assert_allclose(found.true, kept.true, atol=2e-3)
    for name, values in kept.stored.items():
        np.testing.assert_allclose(found.stored[name], values, atol=2e-3)


def test_what_cannot_be_verified_is_refused(
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
    assert "another video" in refused("--checkpoint", best, "--data_path", str(other))
    pixels = train(video_file, "-e", "1")
    assert "no CLIP head" in refused("--checkpoint", str(pixels / "model_best.pth"))
    shutil.copy(run / "model_best.pth", pixels / "model_best.pth")
    assert "not of the run" in refused("--checkpoint", str(pixels / "model_best.pth"))
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
    """The run's folder of weights was replaced since."""
    bare = Path("bare")
    shutil.copytree(run, bare)
    (bare / "true.npy").unlink()
    config = json.loads((bare / "config.json").read_text())
    config["flags"]["clip_model"] = write_tiny_clip(Path("replaced").resolve(), seed=5)
    (bare / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="learned from the teacher"):
        gather(bare / "model_best.pth", Terminal(quiet=True), video_file)


def test_a_verification_is_a_frozen_value(run: Path) -> None:
    found = verify(gather(run / "model_best.pth", Terminal(quiet=True)))
    assert isinstance(found, Verification)
    other = verify(replace(found.evidence, predicted=found.evidence.true))
    own = other.rows[0].figures["all"]
    assert own is not None
    assert own.cosine.mean == pytest.approx(1)
    assert own.r1.mean == pytest.approx(1, abs=0.2)  # frames that look the same share it
