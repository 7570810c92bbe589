"""Metrics against independent implementations: scikit-image and pytorch-msssim."""

from __future__ import annotations

import numpy as np
import pytest
import pytorch_msssim
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from nerv_clip.metrics import ms_ssim, ms_ssim_scales, psnr, ssim
from tests.samples import moving_picture


def pair(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two true-looking batches (2, 3, H, W) in [0, 1] that differ by noise and a shade."""
    true = torch.from_numpy(moving_picture(2, height, width)).permute(0, 3, 1, 2) / 255
    noise = torch.rand(true.shape, generator=torch.Generator().manual_seed(seed))
    return (0.8 * true + 0.2 * noise).clamp(0, 1), true


def test_psnr_matches_skimage() -> None:
    frames, true = pair(40, 56)
    for i, value in enumerate(psnr(frames, true)):
        expected = peak_signal_noise_ratio(true[i].numpy(), frames[i].numpy(), data_range=1)
        assert value.item() == pytest.approx(expected, abs=1e-4)
    assert psnr(true, true).tolist() == [100, 100]


@pytest.mark.parametrize("size", [(11, 11), (40, 57), (75, 97)])
def test_ssim_matches_skimage(size: tuple[int, int]) -> None:
    frames, true = pair(*size)
    for i, value in enumerate(ssim(frames, true)):
        maps = [
            structural_similarity(
                true[i, c].numpy().astype(np.float64),
                frames[i, c].numpy().astype(np.float64),
                data_range=1,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
                full=True,
            )[1][5 : size[0] - 5, 5 : size[1] - 5]
            for c in range(3)
        ]
        assert value.item() == pytest.approx(float(np.mean(maps)), abs=2e-5)


@pytest.mark.parametrize("size", [(161, 170), (180, 239)])
def test_ms_ssim_with_five_scales_matches_pytorch_msssim(size: tuple[int, int]) -> None:
    frames, true = pair(*size)
    expected = pytorch_msssim.ms_ssim(frames, true, data_range=1, size_average=False)
    assert ms_ssim_scales(*size) == 5
    torch.testing.assert_close(ms_ssim(frames, true), expected, atol=2e-5, rtol=0)


def test_ms_ssim_with_one_scale_equals_ssim() -> None:
    frames, true = pair(20, 30)
    assert ms_ssim_scales(20, 30) == 1
    torch.testing.assert_close(ms_ssim(frames, true), ssim(frames, true), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("side", "scales"), [(10, 0), (11, 1), (20, 1), (21, 2), (41, 3), (81, 4), (160, 4), (161, 5)]
)
def test_number_of_scales_depends_on_the_smaller_side(side: int, scales: int) -> None:
    assert ms_ssim_scales(side, 500) == ms_ssim_scales(500, side) == scales


def test_ssim_of_a_frame_smaller_than_the_window_is_nan() -> None:
    frames, true = pair(10, 30)
    assert ssim(frames, true).isnan().all()
    assert ms_ssim(frames, true).isnan().all()


@settings(max_examples=12, deadline=None)
@given(st.integers(12, 90), st.integers(12, 90), st.integers(0, 9))
def test_ssim_gradient_matches_pytorch_msssim(height: int, width: int, seed: int) -> None:
    frames, true = pair(height, width, seed)
    ours, theirs = frames.clone().requires_grad_(), frames.clone().requires_grad_()
    ssim(ours, true).mean().backward()
    pytorch_msssim.ssim(theirs, true, data_range=1).backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-3)


def test_ms_ssim_gradient_of_inverted_frames_is_finite() -> None:
    """Structure below zero would make the power's slope infinite."""
    frames = (1 - pair(100, 100)[1]).requires_grad_()
    ms_ssim(frames, pair(100, 100)[1]).sum().backward()
    assert frames.grad is not None
    assert frames.grad.isfinite().all()
