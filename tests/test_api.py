"""The public Python API, as a user calls it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch

from nerv_clip import (
    InputError,
    ModelConfig,
    Run,
    TrainConfig,
    VideoSpec,
    evaluate,
    load_clip_encoder,
    load_model,
    load_run,
    load_video,
    preset,
    train,
    verify,
)
from nerv_clip.training.presets import PRESETS
from tests.runs import flags
from tests.test_training import same
from train.train_nerv_clip import main

MODEL = ModelConfig(modelsize=0.05, lower_width=4)
CONFIG = TrainConfig(epochs=4, batch=2, eval_freq=2)


def test_train_yields_epochs_and_writes_what_the_command_writes(video_file: Path) -> None:
    video = load_video(video_file)
    epochs = list(train(video, "run", data_split="2_2_3", model=MODEL, config=CONFIG))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].psnr > epochs[0].psnr
    main(flags(video_file, "--outf", "by_command"))
    by_command = Run(Path("output/by_command"))
    weights = (torch.load(r.best, weights_only=True) for r in (Run(Path("run")), by_command))
    assert same(*weights)
    ours, theirs = Run(Path("run")).read_config(), by_command.read_config()
    assert ours.identity == theirs.identity
    assert ours.video == dataclasses.replace(theirs.video, path=ours.video.path)
    stored = [pd.read_csv(p / "history.csv").drop(columns="seconds") for p in map(Path, (
        "run", "output/by_command"))]  # fmt: skip
    pd.testing.assert_frame_equal(*stored)


def test_training_that_is_closed_early_resumes(video_file: Path) -> None:
    video = load_video(video_file)
    options = {"data_split": "2_2_3", "model": MODEL, "config": CONFIG}
    for epoch in train(video, "run", **options):  # type: ignore[arg-type]
        if epoch.epoch == 3:
            break
    rest = list(train(video, "run", **options))  # type: ignore[arg-type]
    assert [epoch.epoch for epoch in rest] == [4]
    list(train(video, "whole", **options))  # type: ignore[arg-type]
    checkpoints = (torch.load(Path(name) / "model_best.pth", weights_only=True)
                   for name in ("run", "whole"))  # fmt: skip
    assert same(*checkpoints)


def test_evaluate_search_and_verify_a_trained_run(video_file: Path, teacher: str) -> None:
    video, encoder = load_video(VideoSpec(video_file, resize=(24, 40))), load_clip_encoder(teacher)
    model = dataclasses.replace(MODEL, predict_clip=True)
    config = dataclasses.replace(CONFIG, pixel_loss_warmup_epochs=1)
    for _ in train(video, "run", data_split="2_2_3", model=model, config=config, teacher=encoder):
        pass
    trained = Run(Path("run")).read_metrics()
    evaluation = evaluate("run", video)
    assert evaluation.metrics.val.psnr == pytest.approx(trained.val.psnr)
    assert evaluate("run").metrics.train.psnr == pytest.approx(trained.train.psnr)
    answer = load_run("run").search("a disc")
    assert 0 <= answer.moments[0].peak <= 1
    assert verify("run/model_best.pth").verdict.label == "no evidence"
    frames, embedding, _, _ = load_model(Path("run/model_best.pth"))(torch.tensor([0.5]).double())
    assert frames.shape == (1, 3, 24, 40)
    assert embedding is not None
    assert embedding.shape == (1, 16)


def test_errors_name_arguments(video_file: Path) -> None:
    video = load_video(video_file)
    for wrong, named in (
        ({"data_split": "0_1_2"}, "`data_split`"),
        ({"config": TrainConfig(epochs=0)}, "`epochs`"),
        ({"model": ModelConfig(modelsize=-1)}, "`modelsize`"),
        ({"model": ModelConfig(predict_clip=True)}, "teacher"),
    ):
        with pytest.raises(InputError, match=named):
            train(video, "run", **wrong)  # type: ignore[arg-type]
    assert not Path("run").exists()
    with pytest.raises(InputError, match="`preset`"):
        preset("fastest")
    with pytest.raises(InputError, match="not a run"):
        evaluate("nowhere")
    list(train(video, "run", model=MODEL, config=dataclasses.replace(CONFIG, epochs=1)))
    other = load_video(VideoSpec(video_file, step=2))
    with pytest.raises(InputError, match="not the one that the run was trained on"):
        evaluate("run", other)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (TrainConfig(loss="foo"), "`loss`"),
        (TrainConfig(optim="lion"), "optim"),
        (TrainConfig(amp="fp16"), "`amp`"),
        (TrainConfig(bits=4), "`bits`"),
        (TrainConfig(best_metric="ssim_train"), "`best_metric`"),
    ],
)
def test_unknown_choices_are_refused(video_file: Path, wrong: TrainConfig, named: str) -> None:
    with pytest.raises(InputError, match=named):
        train(load_video(video_file), "run", model=MODEL, config=wrong)
    assert not Path("run").exists()


def test_embedding_width_of_another_teacher_is_refused(video_file: Path, teacher: str) -> None:
    model = dataclasses.replace(MODEL, predict_clip=True, clip_dim=512)
    config = dataclasses.replace(CONFIG, pixel_loss_warmup_epochs=1)
    encoder = load_clip_encoder(teacher)
    with pytest.raises(InputError, match="width 16"):
        train(load_video(video_file), "run", model=model, config=config, teacher=encoder)


def test_motion_weight_0_leaves_the_motion_head_out(video_file: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=1, motion_weight=0.0)
    (epoch,) = train(load_video(video_file), "run", data_split="2_2_3", model=MODEL, config=config)
    assert epoch.losses["motion"] is None
    (network,) = load_model("run/model_best.pth").networks
    assert not network.taps


def test_baseline_that_was_evaluated_with_a_teacher_resumes(
    video_file: Path, run: Path, teacher: str
) -> None:
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only", "--clip_model", teacher])
    main(flags(video_file))  # finished: it is only evaluated again
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only"])
    metrics = Run(run).read_metrics()
    assert metrics.all.teacher_similarity is not None
    assert metrics.all.clip_similarity is None


def test_damaged_training_state_is_one_line(video_file: Path, run: Path) -> None:
    best = (run / "model_best.pth").read_bytes()  # a checkpoint, but no training state
    (run / "model_latest.pth").write_bytes(best)
    with pytest.raises(InputError, match="not a training state"):
        main(flags(video_file))


@pytest.mark.parametrize("name", PRESETS)
def test_preset_gives_the_settings_of_the_command(name: str, video_file: Path) -> None:
    from nerv_clip.cli import parse

    model, config = preset(name)
    options = parse(["--data_path", str(video_file), "--preset", name])
    assert (options.model, options.train) == (model, config)
