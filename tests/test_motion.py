"""Motion compensation: neighbours in time, warping, and a network that learns motion."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nerv_clip.evaluation.baseline_frames import blend
from nerv_clip.evaluation.decoding import decode
from nerv_clip.metrics import psnr
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.motion import neighbours, warp, warp_and_blend, warp_and_blend_maps
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve
from nerv_clip.training.builder import build_network
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import Video, load_video
from nerv_clip.video.writer import write_image

F64 = torch.float64


def test_neighbours_exclude_the_time_itself() -> None:
    train = torch.tensor([0.1, 0.2, 0.5, 0.9], dtype=F64)
    found = neighbours(train, torch.tensor([0.0, 0.1, 0.2, 0.3, 0.9, 1.0], dtype=F64))
    assert found.before.tolist() == [0, 1, 0, 1, 2, 3]
    assert found.after.tolist() == [0, 1, 2, 2, 2, 3]
    assert found.exact.tolist() == [False, True, True, False, True, False]
    assert found.own[found.exact].tolist() == [0, 1, 3]
    expected = [[0.1, 0.1], [0.1, 0.1], [-0.1, 0.3], [-0.1, 0.2], [-0.4, -0.4], [-0.1, -0.1]]
    torch.testing.assert_close(found.gaps, torch.tensor(expected, dtype=F64))


def test_warp_matches_cubic_convolution() -> None:
    torch.manual_seed(0)
    frames, shift = torch.rand(2, 3, 9, 13), 4 * torch.randn(2, 2, 9, 13)
    shown = warp(frames, shift)
    for i, row, column in itertools.product(range(2), range(9), range(13)):
        x, y = column + shift[i, 0, row, column].item(), row + shift[i, 1, row, column].item()
        expected = sum(
            keys(y - j) * keys(x - k) * frames[i, :, min(max(j, 0), 8), min(max(k, 0), 12)]
            for j in range(math.floor(y) - 1, math.floor(y) + 3)
            for k in range(math.floor(x) - 1, math.floor(x) + 3)
        )
        torch.testing.assert_close(shown[i, :, row, column], expected, atol=1e-4, rtol=0)


def keys(x: float, a: float = -0.75) -> float:
    """The weight of a pixel at distance ``x`` in cubic convolution (Keys, 1981)."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def test_maps_follow_motion_by_less_than_a_cell() -> None:
    """A gradient that moves to the right by 5 pixels a frame, in cells of 10x10 pixels."""
    places = torch.arange(12.0).expand(1, 2, 6, 12)
    before, after = places + 0.5, places - 0.5  # one frame earlier, one frame later
    motion = torch.zeros(1, 5, 3, 6)
    motion[:, 0] = 5
    gaps = torch.tensor([[-1.0, 1.0]], dtype=F64)
    moved = warp_and_blend_maps(motion, before, after, gaps, (60, 120))
    inner = slice(2, -2)
    torch.testing.assert_close(moved[..., inner], places[..., inner], atol=0.05, rtol=0)
    one = torch.zeros(1, 2, 6, 12)
    one[..., 3, 5] = 1
    still = warp_and_blend_maps(0 * motion, one, one, gaps, (60, 120))
    torch.testing.assert_close(still, one, atol=1e-4, rtol=0)


@pytest.mark.parametrize("gaps", [(-1.0, 1.0), (-1.0, 3.0), (-0.25, 0.75), (2.0, 2.0)])
def test_zero_motion_gives_the_blend_of_the_neighbours(gaps: tuple[float, float]) -> None:
    before, after = torch.rand(2, 1, 3, 8, 8)
    still = torch.zeros(1, 5, 2, 2)
    shown = warp_and_blend(still, before, after, torch.tensor([gaps], dtype=F64), (8, 8))
    weight = abs(gaps[1]) / (abs(gaps[0]) + abs(gaps[1]))
    torch.testing.assert_close(shown, weight * before + (1 - weight) * after)


def test_constant_velocity_reconstructs_the_frame_between() -> None:
    """At a velocity of two pixels per frame, a frame is the previous one shifted by two."""
    torch.manual_seed(0)
    texture = torch.rand(1, 3, 8, 40)
    before, between, after = (texture[..., 20 - 2 * i : 36 - 2 * i] for i in range(3))
    motion = torch.zeros(1, 5, 8, 16)
    motion[:, 0] = 2  # the pixel is at `velocity * gap` in the neighbour
    shown = warp_and_blend(motion, before, after, torch.tensor([[-1.0, 1.0]], dtype=F64), (8, 16))
    torch.testing.assert_close(shown[..., 2:-2], between[..., 2:-2])


def test_acceleration_reconstructs_the_frame_between() -> None:
    """x = 3 + 2 t + t² at t = -1, 0 and 2 is 2, 3 and 11."""
    torch.manual_seed(0)
    texture = torch.rand(1, 3, 8, 60)
    before, between, after = (texture[..., 30 - x : 46 - x] for x in (2, 3, 11))
    motion = torch.zeros(1, 5, 8, 16)
    motion[:, 0], motion[:, 2] = 2, 1
    shown = warp_and_blend(motion, before, after, torch.tensor([[-1.0, 2.0]], dtype=F64), (8, 16))
    torch.testing.assert_close(shown[..., 3:6], between[..., 3:6])


def test_motion_is_aligned_with_its_features_in_a_cropped_frame() -> None:
    """Each of the 2x4 cells is 4 pixels wide, although the frame ends inside the last one."""
    torch.manual_seed(0)
    before, after = torch.rand(2, 1, 3, 6, 13)
    motion = torch.randn(1, 5, 2, 4)
    gaps = torch.tensor([[-1.0, 1.0]], dtype=F64)
    spread = F.interpolate(motion, scale_factor=4, mode="bilinear")[..., :6, :13]
    shown = warp_and_blend(motion, before, after, gaps, (8, 16))
    torch.testing.assert_close(shown, warp_and_blend(spread, before, after, gaps, (6, 13)))


def network() -> NeRVClip:
    torch.manual_seed(0)
    model = NeRVClip(solve(ModelConfig(modelsize=0.1, lower_width=4), 12, 6, 45, 61)).eval()
    model.train_times.copy_(torch.arange(0, 12, 2, dtype=F64) / 11)
    return model


def test_forward_draws_train_frames_and_blends_them_for_others() -> None:
    model = network()
    t = torch.arange(12, dtype=F64) / 11
    with torch.no_grad():
        shown, train = model(t).frames, model(model.train_times).frames
        alone = torch.cat([model(one[None]).frames for one in t])
    torch.testing.assert_close(shown[::2], train)
    torch.testing.assert_close(shown[1:11:2], (train[:-1] + train[1:]) / 2)  # no motion yet
    torch.testing.assert_close(shown[11], train[5])
    torch.testing.assert_close(shown, alone)
    assert not torch.equal(model.draw(t[1:2]).frames, shown[1:2])


def test_frames_are_continuous_in_time_at_a_train_frame() -> None:
    model = network()
    near = model.train_times[2] + torch.tensor([-1e-6, 0, 1e-6], dtype=F64)
    with torch.no_grad():
        before, at, after = model(near).frames
    assert (before - at).abs().max() < 1e-3
    assert (after - at).abs().max() < 1e-3


def test_network_of_one_train_frame_has_no_motion_head() -> None:
    arch = solve(ModelConfig(modelsize=0.1, lower_width=4), 12, 1, 45, 61)
    assert (arch.motion_tap, arch.motion_steps) == (0, 0)


@pytest.fixture
def ball(tmp_path: Path) -> Video:
    """A ball with soft edges that crosses a textured wall: 13 frames of 48x64."""
    y, x = np.mgrid[:48, :64]
    wall = 0.4 + 0.1 * np.sin(x / 3) * np.cos(y / 4)
    for i in range(13):
        distance = np.hypot(x - 10 - 3.5 * i, y - 24)
        cover = 1 / (1 + np.exp(1.5 * (distance - 8)))
        picture = wall + cover * (0.9 - wall)
        colours = np.stack([picture, 0.8 * picture, wall])
        write_image(tmp_path / f"{i:02d}.png", torch.from_numpy(colours))
    return load_video(VideoSpec(tmp_path))


def held_out(video: Video, weight: float) -> tuple[Tensor, Tensor]:
    """PSNR of the held-out frames as decoded, and of the blend of their neighbours."""
    split = split_frames(len(video), "1_1_2")
    asked = ModelConfig(modelsize=0.06, lower_width=6, motion=weight > 0)
    torch.manual_seed(0)
    model = build_network(solve(asked, 13, split.count("train"), 48, 64), split)
    config = TrainConfig(epochs=60, motion_weight=weight)
    training = Trainer(model, video, split, config)
    for _ in training.fit():
        pass
    held = [i for i, part in enumerate(split) if part == "val"]
    train = [i for i, part in enumerate(split) if part == "train"]
    true = video.read(held).float() / 255
    drawn = torch.cat([frames for _, frames, _, _ in decode(training.averaged(), held)])
    mixed = [blend(video, i, train, torch.device("cpu")) for i in held]
    return psnr(drawn, true), psnr(torch.cat([m for m in mixed if m is not None]), true)


def test_motion_head_beats_blending_on_a_moving_object(ball: Video) -> None:
    moving, mixed = held_out(ball, 0.1)
    still, _ = held_out(ball, 0.0)
    assert moving.mean() > mixed.mean() + 2
    assert moving.mean() > still.mean()
