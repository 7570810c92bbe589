"""CLIP preprocessing of tensor batches: the steps of open_clip's transforms, which take images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from torch import Tensor

Step = Callable[[Any], Any]  # one of open_clip's transforms


def tensor_steps(transform: Any) -> list[Step]:  # noqa: ANN401 - torchvision's Compose
    """The steps of an open_clip transform, without those that only concern PIL images."""
    pil_only = ("MaybeConvertMode", "MaybeToTensor")
    return [step for step in transform.transforms if type(step).__name__ not in pil_only]


def preprocess(frames: Tensor, steps: Sequence[Step]) -> Tensor:
    """Prepare frames for a CLIP image tower: (B, 3, H, W) to (B, 3, h, w), normalised.

    ``frames`` are uint8, or floats in [0, 1], which are rounded to 8 bits first, because a frame
    can only be shown with 8 bits. Resized pixels may differ from PIL's by one of 255 levels, and by
    more where bicubic overshoot is clipped (a test counts them).
    """
    frames = _bytes(frames)
    for step in steps[:-1]:
        frames = _apply(step, frames)
    normalised: Tensor = steps[-1](frames.float() / 255)
    return normalised


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (B, 3, H, W), uint8 or floats in [0, 1], as uint8 of another (height, width)."""
    from torchvision.transforms import InterpolationMode, functional  # slow to import

    cubic = InterpolationMode.BICUBIC
    result: Tensor = functional.resize(_bytes(frames), list(size), cubic, antialias=True)
    return result


def _bytes(frames: Tensor) -> Tensor:
    """Frames as uint8, which is what can be shown."""
    return frames.clamp(0, 1).mul(255).round().byte() if frames.is_floating_point() else frames


def _apply(step: Step, frames: Tensor) -> Tensor:
    from torchvision.transforms import Resize, functional  # with open_clip, and slow to import

    any_step: Any = step
    if isinstance(step, Resize):
        size = step(frames[:1, :1]).shape[-2:]
    elif type(step).__name__ == "ResizeKeepRatio":
        # open_clip's class reads the size of a PIL image: a stand-in has the batch's size
        stand_in = SimpleNamespace(size=(frames.shape[-1], frames.shape[-2]))
        size = any_step.get_params(stand_in, any_step.size, any_step.longest)
    else:
        result: Tensor = step(frames)
        return result
    # PIL resizes in two passes with 8 bits after each; since Pillow 13 the rows go first where
    # they shrink more
    rows, columns = (before / after for before, after in zip(frames.shape[-2:], size, strict=True))
    between = (size[0], frames.shape[-1]) if rows > max(columns, 1) else (frames.shape[-2], size[1])
    for target in (between, size):
        frames = functional.resize(frames, list(target), any_step.interpolation, antialias=True)
    return frames
