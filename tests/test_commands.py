"""Whole commands, run in process: what they write, what they say, what they refuse."""

from __future__ import annotations

import fcntl
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nerv_clip import InputError, load_model, load_video
from nerv_clip.cli import estimate, parse
from nerv_clip.cli.parser import build_parser
from nerv_clip.evaluation.baseline_frames import perturb
from nerv_clip.evaluation.interpolation import blend_weights
from nerv_clip.models.checkpoint import load_checkpoint
from tests.runs import CLIP_FLAGS, flags, train
from tests.samples import write_test_video
from train.train_nerv_clip import main


def test_run_directory_is_complete(video_file: Path, teacher: str) -> None:
    run = train(video_file, *CLIP_FLAGS, "--clip_model", teacher)
    assert {p.name for p in run.iterdir()} == {
        ".lock",
        "config.json",
        "model_latest.pth",
        "model_best.pth",
        "history.csv",
        "clip_similarity_per_frame.csv",
        "metrics.json",
        "true.npy",
        "predicted.npy",
        "baselines.npz",
        "comparison.mp4",
        "logs",
    }
    config = json.loads((run / "config.json").read_text())
    assert config["format"] == 2
    assert config["train"]["epochs"] == 4
    assert config["train"]["seed"] == 1
    assert torch.__version__.startswith(config["versions"]["torch"])
    assert config["teacher"]["dim"] == 16
    assert config["video"]["hash"] == load_video(parse(flags(video_file)).data).hash
    assert len(config["video"]["timestamps"]) == 12

    frames = pd.read_csv(run / "clip_similarity_per_frame.csv")
    assert list(frames)[:6] == ["frame", "t", "split", "psnr", "ms_ssim", "clip_similarity"]
    assert frames["t"].tolist() == pytest.approx([i / 11 for i in range(12)])
    assert frames["split"].tolist() == ["train", "train", "val"] * 4
    metrics = json.loads((run / "metrics.json").read_text())
    for name, rows in (("all", frames), ("train", frames[frames["split"] == "train"])):
        for column in ("psnr", "ms_ssim", "clip_similarity", "teacher_similarity"):
            assert metrics[name][column] == pytest.approx(rows[column].mean())
    size = (run / "model_best.pth").stat().st_size
    assert metrics["bytes"] == size
    assert metrics["bpp"] == pytest.approx(8 * size / (12 * 48 * 80))
    assert metrics["decoded_fps"] > 0

    true, predicted = (
        np.load(run / f"{name}.npy", mmap_mode="r") for name in ("true", "predicted")
    )
    assert true.shape == predicted.shape == (12, 16)
    assert true.dtype == np.float16
    cosine = (true.astype(float) * predicted).sum(1) / np.linalg.norm(
        predicted.astype(float), axis=1
    )
    assert cosine == pytest.approx(frames["clip_similarity"].to_numpy(), abs=5e-3)
    baselines = np.load(run / "baselines.npz")
    assert set(baselines) == {"reconstruction", "blend", "perturbed"}
    for values in baselines.values():
        assert values.shape == (12, 16)
        assert np.abs(values.astype(float) - true).max() > 1e-3
    history = pd.read_csv(run / "history.csv")
    assert history["epoch"].tolist() == [2, 4]
    for name in ("clip_loss", "slerp_loss"):
        assert history[name].notna().tolist() == [False, True]  # the warm-up is two epochs
    for name in ("pixel_loss", "motion_loss", "total_loss"):
        assert history[name].notna().all()


def test_tensorboard_has_the_documented_tags(video_file: Path, teacher: str) -> None:
    run = train(video_file, *CLIP_FLAGS, "--clip_model", teacher)
    (folder,) = run.glob("*/tensorboard")
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    assert {
        "train/pixel_loss",
        "train/clip_loss",
        "train/slerp_loss",
        "train/motion_loss",
        "train/total_loss",
        "train/psnr",
        "train/lr",
        "eval/clip_similarity_all",
        "eval/clip_similarity_train",
        "eval/clip_similarity_val",
    } <= set(tags["scalars"])
    assert "eval/clip_similarity_distribution" in tags["histograms"]
    assert tags["images"]
    for name in ("pixel_loss", "motion_loss", "total_loss", "psnr", "lr"):
        assert [e.step for e in events.Scalars(f"train/{name}")] == [1, 2, 3, 4]
    for name in ("clip_loss", "slerp_loss"):
        assert [e.step for e in events.Scalars(f"train/{name}")] == [3, 4]  # after the warm-up


def test_model_best_is_chosen_after_the_warm_up(video_file: Path, teacher: str) -> None:
    run = train(video_file, *CLIP_FLAGS, "--clip_model", teacher, "--eval_freq", "1")
    history = pd.read_csv(run / "history.csv")
    warm = history[history["epoch"] > 2]
    chosen = load_checkpoint(run / "model_best.pth")["epoch"]
    assert chosen == warm.loc[warm["psnr_train"].idxmax(), "epoch"]


@pytest.mark.parametrize(
    "mode",
    [
        ["--preset", "fast"],
        ["--embed", "pe_1.25_80", "--loss", "MSE", "--optim", "adam", "--lr", "1e-3"],
        ["--embed", "", "--enc_strds", "4", "2", "2", "--enc_dim", "8_4"],
        ["--enc_strds", "4", "2", "2", "--enc_dim", "8_4"],
        ["--clip_input", "--clip_dim", "16", "--t_grids", "none"],
        [
            "--predict_clip",
            "--clip_dim",
            "16",
            "--clip_tap",
            "1",
            "--pixel_loss_warmup_epochs",
            "0",
        ],
        ["--ema", "0.9", "--amp", "bf16", "--norm", "in", "--shuffle_data"],
        ["--debug", "--dump_images", "--dump_videos"],
    ],
)
def test_every_mode_trains_and_evaluates(video_file: Path, teacher: str, mode: list[str]) -> None:
    with_teacher = ["--clip_model", teacher] if any("clip" in flag for flag in mode) else []
    run = train(video_file, *mode, *with_teacher)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["all"]["psnr"] > 8
    assert math.isfinite(metrics["val"]["blend_psnr"])
    assert (metrics["all"]["clip_similarity"] is not None) == ("--predict_clip" in mode)
    assert load_model(run / "model_best.pth").arch.frames == 12
    if "--dump_images" in mode:
        assert len(list((run / "frames").glob("*.png"))) == 12
        assert (run / "reconstruction.mp4").exists()


def test_compiled_training_writes_plain_parameter_names(video_file: Path) -> None:
    one_block = ["--fc_hw", "3_5", "--dec_strds", "4", "--head_strd", "4"]  # less to compile
    run = train(video_file, "--compile", "-e", "1", *one_block)
    names = load_checkpoint(run / "model_best.pth")["weights"]
    assert not any("_orig_mod" in name for name in names)
    load_model(run / "model_best.pth")


def test_held_out_metrics_are_empty_without_held_out_frames(
    video_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(video_file, "--data_split", "1_1_1")
    assert "no frame is held out" in capsys.readouterr().err
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["val"].values()) == {None}
    assert "psnr_val" in pd.read_csv(run / "history.csv")
    assert pd.read_csv(run / "history.csv")["psnr_val"].isna().all()


def test_video_of_a_single_frame_is_trained(tmp_path: Path) -> None:
    write_test_video(tmp_path / "one.mp4", 1)
    run = train(tmp_path / "one.mp4", "--data_split", "1_1_1")
    frames = pd.read_csv(run / "clip_similarity_per_frame.csv")
    assert frames["t"].tolist() == [0]


def test_perturb_keeps_at_least_one_pixel() -> None:
    for size, left in {(2, 80): (2, 78), (100, 2): (96, 2), (1, 1): (1, 1)}.items():
        assert perturb(torch.rand(1, 3, *size)).shape == (1, 3, *left)


def test_frames_of_odd_size_are_decoded(tmp_path: Path) -> None:
    write_test_video(tmp_path / "odd.mp4", 4, 46, 34)
    run = train(tmp_path / "odd.mp4", "--crop_list", "33_23", "--dump_images")
    (first, *_) = sorted((run / "frames").glob("*.png"))
    assert Image.open(first).size == (23, 33)


def test_blend_psnr_matches_the_mean_of_the_neighbours(video_file: Path, run: Path) -> None:
    rows = pd.read_csv(run / "clip_similarity_per_frame.csv").set_index("frame")
    video = load_video(parse(flags(video_file)).data)
    frames = video.read(range(12)).double() / 255
    for i in (2, 5):
        mixed = (frames[i - 1] + frames[i + 1]) / 2
        expected = -10 * torch.log10((mixed - frames[i]).square().mean())
        assert rows["blend_psnr"][i] == pytest.approx(expected.item(), abs=1e-3)
    last = -10 * torch.log10((frames[10] - frames[11]).square().mean())
    assert rows["blend_psnr"][11] == pytest.approx(last.item(), abs=1e-3)
    assert blend_weights(5, [0, 9]) == [(0, pytest.approx(4 / 9)), (9, pytest.approx(5 / 9))]
    assert blend_weights(0, [0]) == []


def test_evaluation_depends_on_the_checkpoint_only(video_file: Path, run: Path) -> None:
    """A damaged weight in the file shows in the figures; the training's other files do not."""
    before = json.loads((run / "metrics.json").read_text())
    (run / "model_latest.pth").unlink()
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only"])
    again = json.loads((run / "metrics.json").read_text())
    assert again["all"] == before["all"]
    content = load_checkpoint(run / "model_best.pth")
    content["weights"][0]["rgb_head.conv.bias"] += 1
    torch.save(content, run / "model_best.pth")
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only"])
    assert json.loads((run / "metrics.json").read_text())["all"]["psnr"] < before["all"]["psnr"] - 3


def test_run_without_a_head_has_teacher_similarity_if_a_teacher_is_given(
    video_file: Path, run: Path, teacher: str
) -> None:
    assert json.loads((run / "metrics.json").read_text())["all"]["teacher_similarity"] is None
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only", "--clip_model", teacher])
    assert json.loads((run / "metrics.json").read_text())["all"]["teacher_similarity"] > 0


def test_finished_run_is_not_trained_again(video_file: Path, run: Path) -> None:
    weights = (run / "model_best.pth").read_bytes()
    train(video_file)
    assert (run / "model_best.pth").read_bytes() == weights
    assert pd.read_csv(run / "history.csv")["epoch"].tolist() == [2, 4]


def test_resume_with_other_settings_is_refused(video_file: Path, run: Path) -> None:
    before = (run / "model_latest.pth").read_bytes()
    for change, named in {
        "--lr 0.1": "`lr`",
        "-b 3": "`batch`",
        "--data_split 1_1_2": "`data_split`",
        "--modelsize 0.06": "`modelsize`",
        "--vid_end 9": "`video`",
        "--manualSeed 5 --loss L1": "`loss`, `seed`",
    }.items():
        with pytest.raises(InputError, match="trained with other values") as caught:
            train(video_file, *change.split())
        for flag in named.split(", "):
            assert flag in str(caught.value)
        assert (run / "model_latest.pth").read_bytes() == before
    all_of_them = "--lr 0.1 -b 3 --data_split 1_1_2 --modelsize 0.06 --vid_end 9 --manualSeed 5"
    train(video_file, *all_of_them.split(), "--loss", "L1", "--not_resume")


def test_overwrite_empties_the_run_directory(video_file: Path, run: Path) -> None:
    (run / "note.txt").write_text("mine")
    train(video_file, "--not_resume")
    assert (run / "note.txt").exists()
    train(video_file, "--overwrite")
    assert not (run / "note.txt").exists()


def test_second_training_in_one_directory_is_refused(video_file: Path, run: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.iterdir()}
    with (run / ".lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another training"):
            train(video_file)
    assert before == {p: p.stat().st_mtime_ns for p in run.iterdir() if p.name != ".lock"} | {
        run / ".lock": before[run / ".lock"]
    }
    train(video_file)  # the lock went with its holder


def test_temporary_files_of_a_killed_process_are_removed(video_file: Path, run: Path) -> None:
    (run / ".partial-0123abcd.pth").write_bytes(b"half")
    train(video_file)
    assert not (run / ".partial-0123abcd.pth").exists()


def test_training_starts_from_the_weights_of_another_run(video_file: Path) -> None:
    run = train(video_file, "--bits", "8")
    first = json.loads((run / "metrics.json").read_text())["train"]["psnr"]
    start = ["--weight", str(run / "model_best.pth")]
    slow = ["-e", "1", "--lr", "1e-6", "--matrix_lr", "1e-6"]
    main(flags(video_file, "--outf", "next", *start, *slow))
    second = json.loads(Path("output/next/metrics.json").read_text())["train"]["psnr"]
    assert second == pytest.approx(first, abs=0.05)
    with pytest.raises(InputError, match="does not fit the network"):
        main(flags(video_file, "--outf", "x", *start, "--act", "sin", "--modelsize", "0.08"))


def test_restart_removes_images_and_videos_of_the_earlier_network(video_file: Path) -> None:
    run = train(video_file, "-e", "1", "--dump_images", "--dump_videos")
    assert len(list((run / "frames").iterdir())) == 12
    train(video_file, "-e", "1", "--not_resume", "--vid_end", "9")
    assert not (run / "frames").exists()
    assert not (run / "reconstruction.mp4").exists()


def test_evaluation_writes_into_the_run_whose_settings_it_read(video_file: Path) -> None:
    train(video_file, "--debug", "-e", "1", "--outf", "moving")
    options = parse(["--data_path", str(video_file), "--eval_only"])
    assert options.run == Path("output/moving")
    assert options.split == "2_2_3"


def test_embedding_width_defaults_to_the_teachers(video_file: Path, teacher: str) -> None:
    short = ["--predict_clip", "--pixel_loss_warmup_epochs", "1", "--clip_model", teacher]
    run = train(video_file, *short, "-e", "2")
    assert load_model(run / "model_best.pth").arch.clip_dim == 16
    assert estimate(parse(flags(video_file, *short, "-e", "2"))).head_parameters > 0
    train(video_file, *short, "-e", "2", "--clip_dim", "16")  # says the same: nothing to do


def test_outf_and_suffix_name_the_run_directory(video_file: Path) -> None:
    def run_of(*more: str) -> Path:
        return parse(["--data_path", str(video_file), *more]).run

    assert run_of() == Path("output/moving")
    assert run_of("--outf", "a", "--suffix", "_b") == Path("output/a_b")
    assert run_of("--outf", "else/where") == Path("else/where")
    assert run_of("--debug") == Path("output/debug")


def test_evaluation_takes_the_settings_of_its_run(video_file: Path, teacher: str) -> None:
    more = [*CLIP_FLAGS, "--clip_model", teacher, "--preset", "fast", "--crop_list", "40_60"]
    more += ["--resize_list", "33_47", "--vid_start", "1", "--vid_end", "11", "--shuffle_data"]
    more += ["--t_grids", "0.5_2", "--lr_type", "const", "--ks", "0_3_5", "--out_bias", "0.5"]
    train(video_file, *more)
    trained = parse(flags(video_file, *more))
    evaluated = parse(["--data_path", str(video_file), "--outf", "run", "--eval_only"])
    for name in ("data", "split", "shuffle", "preset", "model", "train", "teacher"):
        expected = getattr(trained, name)
        assert getattr(evaluated, name) == expected, name


def test_every_flag_has_help() -> None:
    for action in build_parser()._actions:
        assert action.help, action.dest


def test_suffix_is_not_added_twice(video_file: Path) -> None:
    train(video_file, "--suffix", "_b")
    main(["--data_path", str(video_file), "--outf", "run_b", "--eval_only"])
    assert not Path("output/run_b_b").exists()


def test_interrupted_evaluation_is_repeated_on_resume(video_file: Path, run: Path) -> None:
    """Killed after the save that precedes an evaluation: its row is there after the resume."""
    state = load_checkpoint(run / "model_latest.pth")
    rows = pd.read_csv(run / "history.csv")
    last = rows.iloc[-1]
    values = {n: float(last[f"{n}_loss"]) for n in ("pixel", "clip", "slerp", "motion", "total")}
    losses = {name: None if math.isnan(value) else value for name, value in values.items()}
    rest = {name: float(last[name]) for name in ("psnr", "lr", "seconds")}
    state["pending"] = {"epoch": int(last["epoch"]), "losses": losses, **rest}
    torch.save(state, run / "model_latest.pth")
    rows.iloc[:-1].to_csv(run / "history.csv", index=False)
    train(video_file)
    pd.testing.assert_frame_equal(pd.read_csv(run / "history.csv"), rows)


def test_epoch_seconds_include_all_steps_despite_saves(video_file: Path) -> None:
    run = train(video_file, "--save_freq", "0", "--outf", "saving").with_name("saving")
    saving, plain = (pd.read_csv(r / "history.csv")["seconds"] for r in (run, train(video_file)))
    assert (saving > 0.3 * plain.min()).all()
