"""`NeRVClip.decode` is a pure function: it can be exported, and it draws what `forward` returns."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nerv_clip import load_model
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.motion import neighbours, warp_and_blend
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
F64 = torch.float64


def small(cuts: tuple[int, ...] = (), **config: object) -> NeRVClip:
    """An untrained network of 12 frames of 45x61, of which every second is a train frame."""
    torch.manual_seed(0)
    fields = {"modelsize": 0.1, "lower_width": 4, **config}
    arch = solve(ModelConfig(**fields), 12, 6, 45, 61, cuts)  # type: ignore[arg-type]
    model = NeRVClip(arch).eval()
    train = torch.arange(0, 12, 2, dtype=F64) / 11
    model.train_times.copy_(train)
    if model.table is not None:
        model.table.fill(train, torch.randn_like(model.table.values))
    head = model.head("motion")
    assert isinstance(head, nn.Sequential)
    nn.init.normal_(head[-1].weight, std=0.1)  # it starts without any motion
    return model


def network(name: str) -> NeRVClip:
    if name == "encoder":
        strides, latent = (5, 2, 2), (8, 4)
        return small(
            embed="", enc_strds=strides, enc_dim=latent, predict_clip=True, clip_dim=16, clip_tap=1
        )
    if name == "clip_input":
        return small(clip_input=True, clip_dim=16)
    if name == "cuts":
        return small(cuts=(4, 5, 8), predict_clip=True, clip_dim=16)
    return load_model(CHECKPOINTS / name / "model_best.pth").networks[0]


class Method(nn.Module):
    """One method of the network as a module, as `torch.export` takes it."""

    def __init__(self, model: NeRVClip, name: str) -> None:
        super().__init__()
        self.model, self.name = model, name

    def forward(self, t: Tensor) -> list[Tensor]:
        output = getattr(self.model, self.name)(t)
        if isinstance(output, Tensor):
            return [output]
        return [output.frames, output.features.inputs, *output.features.heads.values()]


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *product(["kitchen", "encoder", "cuts"], ["draw", "embed", "decode"]),
        *product(["kitchen_clip_input", "clip_input"], ["draw", "decode"]),
    ],
)
def test_exported_program_equals_eager(name: str, method: str) -> None:
    model = network(name)
    module = Method(model, method)
    step = 1 / (model.arch.frames - 1)
    with torch.no_grad():
        program = torch.export.export(
            module,
            (torch.tensor([0.0, 0.3], dtype=F64),),
            dynamic_shapes={"t": {0: torch.export.Dim("batch", min=1, max=64)}},
        ).module()
        for times in ([0.0], [step, 0.4321], [0.0, 2 * step, 3 * step, 0.777, 1.0]):
            t = torch.tensor(times, dtype=F64)
            for exported, eager in zip(program(t), module(t), strict=True):
                torch.testing.assert_close(exported, eager)


def decoded_frame_by_frame(model: NeRVClip, t: Tensor) -> Tensor:
    """Frames at each time: a train frame is drawn, any other warped from its neighbours."""
    frames = []
    for one in t:
        found = neighbours(model.train_times, one[None], model.shots)
        if found.exact:
            frames.append(model.draw(one[None]).frames)
            continue
        motion = model.draw(one[None]).features.heads["motion"]
        before = model.draw(model.train_times[found.before]).frames
        after = model.draw(model.train_times[found.after]).frames
        gaps = found.gaps * (model.arch.frames - 1)
        frames.append(warp_and_blend(motion, before, after, gaps, model.arch.padded))
    return torch.cat(frames)


@pytest.mark.parametrize("name", ["kitchen", "encoder", "clip_input", "cuts"])
def test_decode_draws_train_frames_and_warps_the_others(name: str) -> None:
    model = network(name)
    step = 1 / (model.arch.frames - 1)
    times = [0.0, step, 2 * step, 4 * step, 4.9 * step, 5 * step, 1 - step, 1.0]
    t = torch.tensor(times, dtype=F64)
    with torch.no_grad():
        decoded = model.decode(t)
        torch.testing.assert_close(decoded.frames, decoded_frame_by_frame(model, t))
        torch.testing.assert_close(decoded.frames, model(t).frames)
        torch.testing.assert_close(decoded.features.inputs, model.draw(t).features.inputs)
        if decoded.features.embedding is not None:
            torch.testing.assert_close(decoded.features.embedding, model.embed(t))


def test_decode_without_motion_is_draw() -> None:
    torch.manual_seed(0)
    arch = solve(ModelConfig(modelsize=0.1, lower_width=4, motion=False), 12, 6, 45, 61)
    model = NeRVClip(arch).eval()
    t = torch.tensor([0.0, 0.321], dtype=F64)
    torch.testing.assert_close(model.decode(t).frames, model.draw(t).frames)


def test_forward_draws_a_train_frame_once() -> None:
    model = network("clip_input")
    drawn: list[int] = []
    model.rgb_head.register_forward_hook(lambda _, inputs, __: drawn.append(len(inputs[0])))
    train, between = model.train_times[:3], model.train_times[:3] + 0.01
    for t in (train, between):
        model(t)
    model.decode(train)
    assert drawn == [3, 6, 6]
