"""Every pixel loss against HNeRV's formula, computed with other libraries."""

from __future__ import annotations

import pytest
import pytorch_msssim
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.similarity import slerp
from nerv_clip.training.losses import PIXEL_LOSSES, check_loss_fits, clip_loss, pixel_loss
from nerv_clip.training.losses import slerp as slerp_batch
from tests.test_metrics import pair

# name: shares of mean squared, mean absolute, 1 - SSIM, 1 - MS-SSIM, decibels below 100
SHARES = {
    "PSNR-SSIM": (0, 0, 0.1, 0, 0.004),
    "PSNR": (0, 0, 0, 0, 0.004),
    "L2": (1, 0, 0, 0, 0),
    "MSE": (1, 0, 0, 0, 0),
    "L1": (0, 1, 0, 0, 0),
    "SSIM": (0, 0, 1, 0, 0),
    "Fusion1": (0.3, 0, 0.7, 0, 0),
    "Fusion2": (0, 0.3, 0.7, 0, 0),
    "Fusion3": (0.5, 0, 0.5, 0, 0),
    "Fusion4": (0, 0.5, 0.5, 0, 0),
    "Fusion5": (0.7, 0, 0.3, 0, 0),
    "Fusion6": (0, 0.7, 0.3, 0, 0),
    "Fusion7": (0.7, 0.3, 0, 0, 0),
    "Fusion8": (0.5, 0.5, 0, 0, 0),
    "Fusion9": (0, 0.9, 0.1, 0, 0),
    "Fusion10": (0, 0.7, 0, 0.3, 0),
    "Fusion11": (0, 0.9, 0, 0.1, 0),
    "Fusion12": (0, 0.8, 0, 0.2, 0),
}


def by_hand(name: str, frames: Tensor, true: Tensor) -> float:
    squared, absolute, structure, multi, decibels = SHARES[name]
    difference = frames - true
    value = squared * (difference**2).mean() + absolute * difference.abs().mean()
    value = value + structure * (1 - pytorch_msssim.ssim(frames, true, data_range=1))
    psnr = [
        peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1)
        for a, b in zip(true, frames, strict=True)
    ]
    value = value + decibels * (100 - sum(psnr) / len(psnr))
    return float(value + multi * (1 - pytorch_msssim.ms_ssim(frames, true, data_range=1)))


def test_every_pixel_loss_is_tested() -> None:
    assert set(SHARES) == set(PIXEL_LOSSES)


@pytest.mark.parametrize("name", SHARES)
def test_pixel_loss_matches_hnerv_s_formula(name: str) -> None:
    frames, true = pair(164, 170)
    assert pixel_loss(name, frames, true).item() == pytest.approx(
        by_hand(name, frames, true), abs=2e-5
    )
    assert pixel_loss(name, true, true).item() == pytest.approx(0, abs=1e-6)


def test_clip_loss_is_one_minus_cosine_similarity() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert clip_loss(a, 3 * a).item() == pytest.approx(0, abs=1e-6)
    assert clip_loss(a, -a).item() == pytest.approx(2)
    assert clip_loss(a, a.flip(0)).item() == pytest.approx(1)


def test_ssim_loss_of_small_frames_raises_input_error() -> None:
    check_loss_fits("L2", 4, 4)
    with pytest.raises(InputError, match="11x11"):
        check_loss_fits("Fusion6", 10, 40)


def test_batched_slerp_matches_the_numpy_one() -> None:
    torch.manual_seed(0)
    start, end = torch.nn.functional.normalize(torch.randn(2, 5, 16, dtype=torch.float64), dim=2)
    end[0] = start[0]  # equal ends
    share = torch.tensor([0.3, 0.0, 1.0, 0.5, 0.9], dtype=torch.float64)
    for row, (a, b, u) in zip(slerp_batch(start, end, share), zip(start, end, share, strict=True)):  # noqa: B905
        torch.testing.assert_close(row, torch.from_numpy(slerp(a.numpy(), b.numpy(), u.item())))
