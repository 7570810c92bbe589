"""Quantised weights: their error, and the size of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nerv_clip import load_model
from nerv_clip.errors import InputError
from nerv_clip.metrics import psnr
from nerv_clip.models.checkpoint import export_model, load_checkpoint
from nerv_clip.models.config import BITS, ModelConfig
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.quantisation import pack, unpack
from nerv_clip.models.solver import solve


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    kernel = torch.randn(5, 4, 3, 3) * torch.tensor([1e-6, 1, 0, 3, 1e3]).view(-1, 1, 1, 1)
    memory = kernel.to(memory_format=torch.channels_last)
    times = torch.linspace(0, 1, 7, dtype=torch.float64)
    return {"kernel": memory, "bias": torch.randn(5), "times": times, "matrix": torch.randn(3, 2)}


@pytest.mark.parametrize("bits", BITS)
def test_quantisation_error_is_at_most_half_a_step(bits: int) -> None:
    before = weights()
    after = unpack(pack(before, bits))
    assert after.keys() == before.keys()
    assert torch.equal(after["times"], before["times"])
    for name, value in before.items():
        assert after[name].shape == value.shape
        assert after[name].dtype == value.dtype
        rows, error = value.reshape(len(value), -1), (after[name] - value).reshape(len(value), -1)
        largest = rows.abs().amax(1, keepdim=True)
        allowed = {32: 0 * largest, 16: rows.abs() / 2048 + 3e-8, 8: largest / 254 * 1.001}[bits]
        assert (error.abs() <= allowed).all()


def test_fewer_bits_give_a_smaller_file_with_nearly_the_same_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = NeRVClip(solve(ModelConfig(modelsize=0.1, lower_width=4), 12, 8, 45, 61)).eval()
    at = torch.linspace(0, 1, 5, dtype=torch.float64)
    sizes, quality = {}, {}
    for bits in BITS:
        export_model(model, tmp_path / "m.pth", {"epoch": 1}, bits)
        sizes[bits] = (tmp_path / "m.pth").stat().st_size
        with torch.no_grad():
            shown = load_model(tmp_path / "m.pth")(at).frames
            quality[bits] = psnr(shown, model(at).frames).min().item()
    assert quality[32] == pytest.approx(100)
    assert quality[16] > 70
    assert quality[8] > 45
    assert sizes[16] < 0.6 * sizes[32]
    assert sizes[8] < 0.35 * sizes[32]


def test_damaged_codes_raise_input_error(tmp_path: Path) -> None:
    model = NeRVClip(solve(ModelConfig(modelsize=0.1, lower_width=4), 12, 8, 45, 61))
    export_model(model, tmp_path / "m.pth", {}, 8)
    content = load_checkpoint(tmp_path / "m.pth")
    (packed,) = content["weights"]
    packed["codes"] = packed["codes"][:-20]
    torch.save(content, tmp_path / "cut.pth")
    with pytest.raises(InputError, match="do not fit"):
        load_model(tmp_path / "cut.pth")
