"""The shipped checkpoints still decode to the stored figures, at train and held-out frames."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nerv_clip import frame_time, load_model
from nerv_clip.demo.kitchen import SAMPLES, SIZE, render_frame
from nerv_clip.metrics import psnr

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
FRAMES = 300  # of the kitchen that the runs were trained on
TRAIN, HELD_OUT = (0, 150, 294), (3, 151, 299)  # by their split, 3_3_4


@cache
def true_frame(index: int) -> Tensor:
    """A frame (1, 3, H, W) in [0, 1] of the kitchen of seed 0, rendered."""
    pytest.importorskip("embreex", reason="embreex is not installed (no wheel for Linux on ARM)")
    pixels, _, _ = render_frame(0, FRAMES, index, SIZE, SAMPLES)
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", ["kitchen", "kitchen_baseline", "kitchen_clip_input"])
def test_shipped_checkpoint_decodes_to_its_stored_figures(name: str) -> None:
    run = CHECKPOINTS / name
    stored = pd.read_csv(run / "clip_similarity_per_frame.csv")
    assert [stored["split"][i] for i in TRAIN] == ["train"] * 3
    assert [stored["split"][i] for i in HELD_OUT] == ["val"] * 3
    model = load_model(run / "model_best.pth")
    for index in (*TRAIN, *HELD_OUT):
        t = torch.tensor([frame_time(index, FRAMES)], dtype=torch.float64)
        with torch.no_grad():
            frames, embedding, _, _ = model(t)
        found = psnr(frames.clamp(0, 1), true_frame(index)).item()
        assert found == pytest.approx(stored["psnr"][index], abs=0.01), f"frame {index}"
        assert (embedding is not None) == (name == "kitchen")
        if embedding is not None:
            predicted = np.load(run / "predicted.npy")[index].astype(np.float64)
            difference = embedding[0].double().numpy() - predicted
            assert np.abs(difference).max() < 1e-3 * max(1, np.abs(predicted).max())
