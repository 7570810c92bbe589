"""Exponential moving average of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a network's parameters, updated after every step; empty if ``decay`` is 0."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values: dict[str, Tensor] = {}
        if decay:
            self.values = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, updates: int) -> None:
        """Take in the parameters after ``updates`` steps.

        The first steps weigh more, 1 / (updates + 1) each, so that the random initialisation is
        forgotten.
        """
        if self.values:
            weight = max(1 - self.decay, 1 / (updates + 1))
            for name, parameter in model.named_parameters():
                self.values[name].lerp_(parameter, weight)

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Replace the parameters of ``model`` by their average, if there is one."""
        for name, parameter in model.named_parameters():
            if name in self.values:
                parameter.copy_(self.values[name])

    def restore(self, values: dict[str, Tensor]) -> None:
        """Replace the average by a saved one; raises `ValueError` for that of another network."""
        if values.keys() != self.values.keys():
            raise ValueError("the average is of another network")
        for name, value in values.items():
            self.values[name].copy_(value)
