"""Older formats of ``model_latest.pth``: the training state of one network.

Format 1 has the state of the network at the top. In format 0, its ``sums`` are those of the pixel,
CLIP and total loss and of the PSNR, over ``step`` steps; its ``pending`` epoch is a list: epoch,
the three losses, PSNR, learning rate, seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from nerv_clip.training.results import EpochResult

SUMS = ("pixel", "clip", "total", "psnr")


def upgrade_state(content: dict[str, Any]) -> dict[str, Any]:
    """A training state in the present layout, from that of an older format or the present one.

    Losses that format 0 did not sum are averaged over the remaining steps of the epoch.
    """
    content = dict(content)
    if "segments" in content:
        return content
    sums, pending = content["sums"], content.get("pending")
    if isinstance(sums, Tensor):
        named = dict(zip(SUMS, sums.unbind(), strict=True)) if content["step"] else {}
        if named and not named["clip"]:  # its sum is 0 in an epoch that does not train it
            del named["clip"]
        content["sums"], content["counts"] = named, dict.fromkeys(named, content["step"])
    if isinstance(pending, (list, tuple)):
        epoch, pixel, clip, total, psnr, lr, seconds = pending
        losses = {"pixel": pixel, "clip": clip, "slerp": None, "motion": None, "total": total}
        result = EpochResult(epoch=epoch, losses=losses, psnr=psnr, lr=lr, seconds=seconds)
        content["pending"] = asdict(result)
    whole = {name: content.get(name) for name in ("architecture", "best", "pending")}
    return {**whole, "segments": [content], "results": [None], "seconds": 0.0}
