"""Check a saved training state before a training continues from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

SETTINGS = ("betas", "eps", "momentum", "nesterov", "weight_decay", "matrix")  # of optimisers


def check_optimiser(optimiser: Optimizer, state: Mapping[str, Any]) -> None:
    """Raise `ValueError` for the state of another kind of optimiser, or of another network.

    PyTorch checks the number of parameters only, and fails at the next step.
    """
    groups, saved = optimiser.param_groups, state["param_groups"]
    for group, other in zip(groups, saved, strict=True):
        if any(group.get(name) != other.get(name) for name in SETTINGS):
            raise ValueError("the state is of another optimiser")
    parameters = [p for group in groups for p in group["params"]]
    indices = [index for group in saved for index in group["params"]]
    for parameter, index in zip(parameters, indices, strict=True):
        for value in state["state"].get(index, {}).values():
            if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                raise ValueError("the state is of another network")


def check_place(state: Mapping[str, Any], steps: int, train_frames: Sequence[int]) -> None:
    """Raise `ValueError` for a place that is not one in an epoch of ``steps`` steps.

    The order of the train frames is empty between epochs.
    """
    epoch, step, updates, order = (state[k] for k in ("epoch", "step", "updates", "order"))
    epochs = state.get("epochs", epoch)  # older states have as many as the settings
    if not all(isinstance(n, int) and n >= 0 for n in (epoch, step, updates, epochs)):
        raise ValueError("epochs, step or number of updates are not counts")
    if step > steps or (step and not order):
        raise ValueError("the step is not one of this training")
    if order and sorted(order) != sorted(train_frames):
        raise ValueError("the train frames are others")
