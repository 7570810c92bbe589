"""The trainer: losses, resuming, averaging, and independence of held-out frames."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.metrics import psnr
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve
from nerv_clip.training.builder import build_network
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.objectives import active_objectives
from nerv_clip.training.older_states import upgrade_state
from nerv_clip.training.results import EpochResult
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import Video, load_video
from tests.samples import write_test_video

BUNNY = Path(__file__).parents[2] / "shared" / "video" / "bunny.mp4"
TINY = ModelConfig(modelsize=0.03, lower_width=4)
SHORT = TrainConfig(epochs=3, pixel_loss_warmup_epochs=1, loss="L2")


@pytest.fixture(scope="module")
def video(video_file: Path) -> Video:
    return load_video(VideoSpec(video_file))


def trainer(
    video: Video,
    config: TrainConfig = SHORT,
    model: ModelConfig = TINY,
    split: str = "2_2_3",
    true: Tensor | None = None,
) -> Trainer:
    names = split_frames(len(video), split)
    torch.manual_seed(config.seed)
    arch = solve(model, len(video), names.count("train"), video.height, video.width)
    return Trainer(build_network(arch, names, true_embeddings=true), video, names, config, true)


def same(a: Any, b: Any) -> bool:  # noqa: ANN401
    """Whether nested dicts and lists are equal bit for bit, except for seconds."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


def test_fit_yields_every_epoch_and_the_loss_falls(video: Video) -> None:
    results = list(trainer(video, dataclasses.replace(SHORT, epochs=60)).fit())
    assert [r.epoch for r in results] == list(range(1, 61))
    assert results[-1].losses["pixel"] < 0.5 * results[0].losses["pixel"]
    assert results[-1].psnr > results[0].psnr + 3
    assert all(r.losses["clip"] is None for r in results)


def test_clip_head_is_trained_only_after_the_warm_up(video: Video) -> None:
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    model = dataclasses.replace(TINY, predict_clip=True, clip_dim=16, motion=False)
    config = dataclasses.replace(SHORT, slerp_loss_weight=0)
    training = trainer(video, config, model, true=true)
    head = training.model.head("clip")
    assert head is not None
    gradients: list[bool] = []
    weights = [p.clone() for p in head.parameters()]
    fit = training.fit(on_step=lambda _: gradients.append(head[2].weight.grad is not None))
    first = next(fit)
    assert first.losses["clip"] is None
    assert first.losses["total"] == pytest.approx(first.losses["pixel"])
    assert not any(gradients)
    assert same(weights, list(head.parameters()))
    second = next(fit)
    assert second.losses["clip"] is not None
    assert second.losses["total"] == pytest.approx(
        second.losses["pixel"] + 0.1 * second.losses["clip"], rel=1e-4
    )
    assert all(gradients[training.steps :])
    assert not same(weights, list(head.parameters()))
    third = next(fit)
    assert third.losses["clip"] is not None
    assert third.losses["clip"] < second.losses["clip"]


def test_slerp_loss_trains_the_head_between_train_frames(video: Video) -> None:
    """Random embeddings: without this loss, the head does not interpolate them."""
    torch.manual_seed(0)
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    config = dataclasses.replace(SHORT, epochs=40, clip_loss_weight=10)
    model = dataclasses.replace(TINY, predict_clip=True, clip_dim=16)
    training = trainer(video, config, model, "1_1_1", true)
    list(training.fit())
    middles = (training.times[:-1] + training.times[1:]) / 2
    with torch.no_grad():
        found = torch.cosine_similarity(training.model.embed(middles), true[:-1] + true[1:])
    assert found.mean() > 0.985  # without the loss: 0.964


@pytest.mark.parametrize("optim", ["muon", "adam", "sgd"])
def test_resumed_training_ends_with_the_same_bits(video: Video, tmp_path: Path, optim: str) -> None:
    config = dataclasses.replace(SHORT, optim=optim, ema=0.9)
    model = dataclasses.replace(TINY, predict_clip=True, clip_dim=16)
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    whole = trainer(video, config, model, true=true)
    list(whole.fit())
    taken = 0

    def stop() -> bool:
        return taken == 6  # in the middle of the second epoch

    def count(_: object) -> None:
        nonlocal taken
        taken += 1

    first = trainer(video, config, model, true=true)
    saved = tmp_path / "state.pth"
    list(first.fit(on_step=count, save=lambda: torch.save(first.state(), saved), stop=stop))
    assert (first.epoch, first.step) == (1, 2)
    torch.manual_seed(99)
    other = dataclasses.replace(config, seed=7)  # restoring replaces the generator's state
    second = trainer(video, other, model, true=true)
    second.restore(torch.load(saved, weights_only=True))
    second.config = config
    results = list(second.fit())
    assert [r.epoch for r in results] == [2, 3]
    assert same(whole.state(), second.state())


def test_constructing_a_trainer_does_not_change_the_network(video: Video) -> None:
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    for change in ({}, {"clip_input": True}, {"embed": "", "enc_strds": (4, 2, 2)}):
        config = dataclasses.replace(TINY, modelsize=0.05, clip_dim=16, **change)
        split = split_frames(len(video), "2_2_3")
        arch = solve(config, len(video), split.count("train"), video.height, video.width)
        model = build_network(arch, split, true_embeddings=true)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        Trainer(model, video, split, dataclasses.replace(SHORT, ema=0.9), true)
        assert same(before, dict(model.state_dict()))


def test_built_network_has_the_train_times_of_the_split(video: Video) -> None:
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    split = split_frames(12, "2_2_3")
    config = dataclasses.replace(TINY, modelsize=0.05, clip_input=True, clip_dim=16)
    arch = solve(config, 12, 8, video.height, video.width)
    model = build_network(arch, split, true_embeddings=true)
    train = [i for i in range(12) if i % 3 < 2]
    assert model.train_times.tolist() == [i / 11 for i in train]
    assert model.table is not None
    assert model.table.times.tolist() == [i / 11 for i in train]
    assert torch.equal(model.table.values[:, :, 0, 0], true[train])
    with pytest.raises(ValueError, match="true_embeddings"):
        build_network(arch, split)
    with pytest.raises(ValueError, match="build_network"):
        Trainer(NeRVClip(arch), video, split, SHORT, true)


def test_built_network_takes_weights_but_not_train_times(video: Video) -> None:
    split, other = split_frames(12, "2_2_3"), split_frames(12, "2_2_3")[::-1]
    arch = solve(TINY, 12, 8, video.height, video.width)
    start = build_network(arch, other)
    model = build_network(arch, split, weights=start.state_dict())
    assert same(list(model.parameters()), list(start.parameters()))
    assert torch.equal(model.train_times, build_network(arch, split).train_times)
    wider = solve(dataclasses.replace(TINY, modelsize=0.05), 12, 8, video.height, video.width)
    with pytest.raises(ValueError, match="do not fit"):
        build_network(wider, split, weights=start.state_dict())


def test_every_objective_is_trained_where_it_applies(video: Video) -> None:
    encoder = {"embed": "", "enc_strds": (4, 2, 2), "enc_dim": (8, 4), "modelsize": 0.05}
    cases: list[tuple[dict[str, Any], float, list[str]]] = [
        ({}, 1.0, ["pixel", "motion"]),
        ({"motion": False}, 1.0, ["pixel"]),
        ({"predict_clip": True, "clip_dim": 16}, 1.0, ["pixel", "clip", "slerp", "motion"]),
        ({"predict_clip": True, "clip_dim": 16}, 0.0, ["pixel", "clip", "motion"]),
        ({"predict_clip": True, "clip_dim": 16, **encoder}, 1.0, ["pixel", "clip", "motion"]),
    ]
    for change, weight, expected in cases:
        config = dataclasses.replace(SHORT, slerp_loss_weight=weight)
        model = dataclasses.replace(TINY, **change)
        arch = solve(model, 12, 8, video.height, video.width)
        for epoch in (0, 1, 2):  # the warm-up is one epoch
            names = [objective.name for objective in active_objectives(arch, config, epoch)]
            semantic = {"clip", "slerp"} if epoch == 0 else set()
            assert names == [name for name in expected if name not in semantic]


def test_total_loss_is_the_weighted_sum_of_the_named_losses(video: Video) -> None:
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    model = dataclasses.replace(TINY, predict_clip=True, clip_dim=16)
    config = dataclasses.replace(
        SHORT, clip_loss_weight=0.3, slerp_loss_weight=0.5, motion_weight=0.2
    )
    first, *later = trainer(video, config, model, true=true).fit()
    assert (first.losses["clip"], first.losses["slerp"]) == (None, None)
    for result in (first, *later):
        assert result.losses["motion"] is not None
        expected = result.losses["pixel"] + 0.2 * result.losses["motion"]
        if result is not first:
            assert result.losses["clip"] is not None
            assert result.losses["slerp"] is not None
            expected += 0.3 * (result.losses["clip"] + 0.5 * result.losses["slerp"])
        assert result.losses["total"] == pytest.approx(expected, rel=1e-4)


def test_state_of_format_0_is_upgraded(video: Video) -> None:
    """The older layout: one tensor of sums, and the pending epoch as a list of seven values."""
    training = trainer(video, dataclasses.replace(SHORT, epochs=1))
    stop = iter([False, True])
    list(training.fit(stop=lambda: next(stop)))
    state = copy.deepcopy(training.state())
    sums = [state["sums"].get(name, torch.tensor(0.0)) for name in ("pixel", "clip")]
    sums += [state["sums"][name] for name in ("total", "psnr")]
    old = {name: value for name, value in state.items() if name not in ("sums", "counts")}
    old |= {"sums": torch.stack(sums), "pending": [4, 0.5, None, 0.7, 21.0, 1e-3, 9.0]}
    upgraded = upgrade_state(old)
    losses = {"pixel": 0.5, "clip": None, "slerp": None, "motion": None, "total": 0.7}
    pending = EpochResult(epoch=4, losses=losses, psnr=21.0, lr=1e-3, seconds=9.0)
    assert EpochResult(**upgraded["pending"]) == pending
    (segment,) = upgraded["segments"]
    assert set(segment["sums"]) == {"pixel", "total", "psnr"}
    assert upgrade_state(upgraded) == upgraded
    resumed = trainer(video, dataclasses.replace(SHORT, epochs=1))
    resumed.restore(segment)
    (expected,), (result,) = training.fit(), resumed.fit()
    assert result.psnr == pytest.approx(expected.psnr)
    for name in ("pixel", "total"):
        assert result.losses[name] == pytest.approx(expected.losses[name])
    # format 0 did not sum the motion loss: it is the mean of the remaining steps
    assert result.losses["motion"] == pytest.approx(expected.losses["motion"], rel=0.1)


@pytest.mark.parametrize("batch", [2, 12])  # 12: an epoch is one step
def test_measure_step_does_not_change_the_training(video: Video, batch: int) -> None:
    config = dataclasses.replace(SHORT, batch=batch)
    tried, plain = trainer(video, config), trainer(video, config)
    assert tried.measure_step() > 1e-4  # seconds
    list(tried.fit())
    list(plain.fit())
    assert same(tried.state(), plain.state())


def test_streamed_video_trains_the_same_weights(video: Video, video_file: Path) -> None:
    streamed = load_video(VideoSpec(video_file), cache_gb=0)
    assert streamed.streamed
    a, b = trainer(video), trainer(streamed)
    list(a.fit())
    list(b.fit())
    assert same(a.state(), b.state())


def test_averaged_weights_are_an_exponential_moving_average(video: Video) -> None:
    training = trainer(video, dataclasses.replace(SHORT, ema=0.9, epochs=1))
    history: list[Tensor] = []
    name, parameter = next(iter(training.model.named_parameters()))
    next(training.fit(on_step=lambda _: history.append(parameter.detach().clone())))
    expected = history[0] * 0
    for i, value in enumerate(history, start=1):
        weight = max(0.1, 1 / (i + 1))
        expected = (1 - weight) * (
            expected if i > 1 else first_weights(video, name)
        ) + weight * value
    torch.testing.assert_close(dict(training.averaged().named_parameters())[name], expected)


def first_weights(video: Video, name: str) -> Tensor:
    return dict(trainer(video).model.named_parameters())[name].detach()


def test_infinite_loss_raises_input_error_and_saves_nothing(video: Video) -> None:
    training = trainer(video, dataclasses.replace(SHORT, lr=1.0, optim="sgd", epochs=9))
    saves = []
    with torch.no_grad():
        training.model.rgb_head.conv.bias.fill_(float("inf"))
    with pytest.raises(InputError, match=r"epoch 1.*`lr`"):
        list(training.fit(save=lambda: saves.append(1), save_seconds=0))
    assert not saves


@pytest.mark.parametrize("embed", ["", "xyt_40_20_20"])
def test_encoder_run_does_not_depend_on_held_out_frames(video: Video, embed: str) -> None:
    """Other held-out frames change no weight, no latent and no decoded frame."""
    model = ModelConfig(
        modelsize=0.05, lower_width=4, embed=embed, enc_strds=(4, 2, 2), enc_dim=(8, 4)
    )
    val = [i for i, name in enumerate(split_frames(12, "2_2_3")) if name == "val"]

    class Changed:
        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return getattr(video, name)

        def __len__(self) -> int:
            return len(video)

        def read(self, indices: list[int]) -> Tensor:
            frames = video.read(indices).clone()
            for row, index in enumerate(indices):
                if index in val:
                    frames[row] = 255 - frames[row]
            return frames

    a, b = trainer(video, model=model), trainer(Changed(), model=model)  # type: ignore[arg-type]
    t = a.times[val]
    before = a.averaged()(t).frames
    list(a.fit())
    list(b.fit())
    shipped = a.averaged()
    assert same(shipped.state_dict(), b.averaged().state_dict())
    assert torch.equal(shipped(t).frames, b.averaged()(t).frames)
    assert not torch.equal(before, shipped(t).frames)
    # a train frame is decoded from its own latent, as the encoder computes it
    table = shipped.table
    assert table is not None
    own = shipped.encode(video.read([0]).float() / 255)
    torch.testing.assert_close(table(a.times[[0]]), own)
    mixed = (shipped.encode(video.read([1, 3]).float() / 255) * 0.5).sum(0, keepdim=True)
    torch.testing.assert_close(table(a.times[[2]]), mixed, atol=1e-5, rtol=1e-4)


def test_clip_input_run_does_not_depend_on_held_out_embeddings(video: Video) -> None:
    true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
    model = dataclasses.replace(TINY, modelsize=0.05, clip_input=True, clip_dim=16)
    other = true.clone()
    other[2::3] = 0  # the held-out ones
    a, b = trainer(video, model=model, true=true), trainer(video, model=model, true=other)
    list(a.fit())
    list(b.fit())
    assert same(a.averaged().state_dict(), b.averaged().state_dict())


@pytest.mark.parametrize("source", ["synthetic", "real"])
def test_training_beats_the_mean_frame_and_a_blurred_video(tmp_path: Path, source: str) -> None:
    """The trained network is closer to the video than its mean frame and than a blurred copy."""
    if source == "real":
        if not BUNNY.exists():
            pytest.skip("the real video is not beside this checkout")
        spec = VideoSpec(BUNNY, crop=(640, 1280), resize=(60, 120), step=6)
    else:
        spec = VideoSpec(tmp_path / "v.mp4")
        write_test_video(spec.path, 16)
    video = load_video(spec)
    true = video.read(range(len(video))).float() / 255
    still = psnr(true.mean(0, keepdim=True).expand_as(true), true).mean()
    small = torch.nn.functional.interpolate(true, scale_factor=0.25, mode="area")
    blurred = torch.nn.functional.interpolate(small, size=true.shape[2:], mode="bilinear")
    blur = psnr(blurred, true).mean()
    config = TrainConfig(epochs=30, batch=2)
    training = trainer(video, config, ModelConfig(modelsize=0.1), split="3_3_4")
    list(training.fit())
    with torch.no_grad():
        drawn = training.averaged()(training.times).frames.clamp(0, 1)
    seen = psnr(drawn, true)[training.train_frames].mean()
    assert seen > max(still, blur) + 3
