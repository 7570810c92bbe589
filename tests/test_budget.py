"""A training that has to end in a given time: its plan, its revisions, and its continuation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_clip import InputError, ModelConfig, Run, TrainConfig, load_video, split_frames
from nerv_clip.cli.options import parse
from nerv_clip.cli.planning import (
    Choice,
    balance,
    check_plannable,
    plan_text,
    suited_epochs,
    with_plan,
)
from nerv_clip.cli.rates import Rates
from nerv_clip.models.checkpoint import load_checkpoint, save_checkpoint
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.inputs import Inputs
from nerv_clip.runs.run_training import RunTraining
from nerv_clip.training.segments import makespan
from nerv_clip.video.video import Video
from tests.runs import own
from tests.test_training import same
from train.train_nerv_clip import main

RATES = Rates(small=0.03, large=0.06, shown=0.02)


@given(st.floats(1, 1e6, allow_subnormal=False), st.integers(8, 5000))
def test_balance_uses_the_time_and_prefers_the_largest_network_with_enough_epochs(
    available: float, train: int
) -> None:
    def seconds(size: float) -> float:
        return train * RATES.training(size)

    choice = balance(seconds, available, train)
    assert choice.epochs * seconds(choice.size) == pytest.approx(available)
    larger = Choice(1.1 * choice.size, available / seconds(1.1 * choice.size))
    enough = choice.epochs >= suited_epochs(choice.size, train)
    assert enough or choice.size == pytest.approx(0.1)
    assert larger.size > 8 or larger.epochs < suited_epochs(larger.size, train)


@given(
    st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=9), st.integers(1, 4)
)
def test_makespan_lies_between_its_bounds(seconds: list[float], jobs: int) -> None:
    least = max(sum(seconds) / jobs, *seconds) if len(seconds) > 1 else seconds[0]
    assert makespan(seconds, jobs) >= least - 1e-9
    assert makespan(seconds, jobs) <= sum(seconds) / jobs + max(seconds)
    assert makespan(seconds, 1) == pytest.approx(sum(seconds))


def test_a_plan_is_revised_only_if_it_is_off_and_never_below_what_is_done() -> None:
    budget = Budget(minutes=1, train_seconds=100)
    assert budget.replan(10, 20, spent=50, least=1) == 20  # as planned
    assert budget.replan(10, 20, spent=52, least=1) == 20  # off by an epoch, 5 %
    assert budget.replan(2, 4, spent=60, least=1) == 3  # off by an epoch, 25 %
    assert budget.replan(10, 20, spent=25, least=1) == 40  # twice as fast
    assert budget.replan(10, 20, spent=80, least=1) == 13
    assert budget.replan(10, 20, spent=500, least=1) == 10  # the time is over
    assert budget.replan(10, 20, spent=500, least=12) == 12  # the CLIP head needs some
    revised = budget.revised(3, 30).revised(5, 25)
    assert [revised.stored(epoch) for epoch in (2, 3, 4, 5)] == [None, 30, None, 25]
    assert revised.decided(4)
    assert not revised.decided(6)
    assert revised.revised(4, 28).revisions == ((3, 30), (4, 28))


def test_flags_of_the_user_take_precedence_over_the_plan() -> None:
    options = parse(["--data_path", "x", "--minutes", "5", "--vid_step=2", "--modelsize", "3"])
    flags = ["--vid_step", "1", "--modelsize", "0.4", "--bits", "16"]
    planned = with_plan(options, flags)
    assert (planned.data.step, planned.model.modelsize, planned.train.bits) == (2, 3.0, 16)
    assert plan_text(flags, options) == "--bits 16"
    with pytest.raises(InputError, match="leave out `epochs`"):
        check_plannable(parse(["--data_path", "x", "--minutes", "5", "-e", "3"]), 1)
    with pytest.raises(InputError, match="torchrun"):
        check_plannable(options, 2)
    for minutes in ("0", "-1", "nan", "inf"):
        with pytest.raises(InputError, match="--minutes"):
            parse(["--data_path", "x", "--minutes", minutes])


def test_minutes_needs_no_other_flag_with_a_clip_head(
    video_file: Path, teacher: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data_path", str(video_file), "--outf", "planned", "--minutes", "0.1"]
    main([*flags, "--predict_clip", "--clip_model", teacher])
    run = Run("output/planned")
    config, printed = run.read_config(), capsys.readouterr().err
    assert config.budget is not None
    assert config.budget.minutes == 0.1
    assert config.split.rule == "3_3_4"
    assert config.video.frames == 12  # none of so few is left out
    assert 0 < config.train.pixel_loss_warmup_epochs < config.train.epochs
    assert f"--modelsize {config.model.modelsize:.3g} --epochs {config.train.epochs}" in printed
    assert run.comparison.exists()
    assert run.read_metrics().train.clip_similarity is not None


def test_too_little_time_is_one_line(video_file: Path) -> None:
    flags = ["--data_path", str(video_file), "--outf", "short", "--minutes", "0.0001"]
    with pytest.raises(InputError, match=r"`minutes`|--minutes"):
        main(flags)
    assert not Path("output/short").exists()


def training(folder: Path, video: Video, epochs: int = 6) -> RunTraining:
    split = split_frames(len(video), "2_2_3", shots=video.shots)
    return RunTraining(
        Run(folder),
        Inputs(video, split),
        ModelConfig(modelsize=0.3, lower_width=4),
        TrainConfig(epochs=epochs, eval_freq=6, loss="L2"),
        split=SplitRecord(rule="2_2_3", shuffled=False),
        budget=Budget(minutes=1, train_seconds=60),
    )


def clock(monkeypatch: pytest.MonkeyPatch, seconds: list[float]) -> None:
    """Let training take these seconds until the end of each epoch, instead of the real ones."""
    monkeypatch.setattr(
        RunTraining, "spent_so_far", property(lambda own: seconds[own.trainer.epoch])
    )


@pytest.mark.parametrize("firsts", [(0,), (0, 6)])
def test_a_resumed_training_repeats_the_revisions_of_its_plan(
    tmp_path: Path, video_file: Path, monkeypatch: pytest.MonkeyPatch, firsts: tuple[int, ...]
) -> None:
    video = load_video(video_file, shots=firsts)
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    clock(monkeypatch, [0, 10, 40, 60, 60, 60, 60, 60])  # the second takes long
    first = training(whole, video)
    first.run.create()
    first.begin()
    epochs = first.fit(save_minutes=0)
    next(epochs)
    early = load_checkpoint(first.run.latest)
    assert [result.epoch for result in epochs] == [2, 3]
    budget = first.run.read_config().budget
    assert budget is not None
    assert budget.revisions == ((2, 3),)
    assert first.run.best.exists()

    resumed.mkdir()
    second = training(resumed, video)
    second.run.write_config(first.run.read_config())
    save_checkpoint(early, second.run.latest)
    clock(monkeypatch, [0, 1, 2, 3, 4, 5, 6, 7])  # now it would be fast
    second.begin()
    assert [result.epoch for result in second.fit()][-1] == 3
    assert second.run.read_config().budget == budget
    assert same(load_checkpoint(first.run.best), load_checkpoint(second.run.best))


def test_a_finished_training_goes_on_for_more_minutes(
    video_file: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = own(load_checkpoint(run / "model_latest.pth"))
    flags = ["--data_path", str(video_file), "--outf", "run"]
    main([*flags, "--more_minutes", "0.01"])
    config = Run(run).read_config()
    assert config.budget is not None
    (at, epochs), *later = config.budget.revisions
    assert at == before["epoch"] == config.train.epochs
    assert epochs > at
    assert f"{epochs - at} more epochs, {epochs} in all" in capsys.readouterr().err
    last = later[-1][1] if later else epochs  # as the machine was fast or slow
    assert own(load_checkpoint(run / "model_latest.pth"))["epoch"] == last
    assert Run(run).read_history()["epoch"].iloc[-1] == last
    main([*flags, "--more_minutes", "0.01"])  # and once more
    assert own(load_checkpoint(run / "model_latest.pth"))["epoch"] > last


def test_only_a_trained_run_goes_on(video_file: Path) -> None:
    flags = ["--data_path", str(video_file), "--outf", "none", "-e", "2", "--modelsize", ".05"]
    with pytest.raises(InputError, match=r"instead of `more_minutes`|--more_minutes"):
        main([*flags, "--lower_width", "4", "--more_minutes", "1"])
