"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nerv_clip.errors import InputError
from nerv_clip.layers import TemporalGrid
from nerv_clip.motion import MotionHead

OPTIMISERS = ("muon", "adam", "adamw", "sgd")


class Muon(Optimizer):
    """Momentum whose matrix updates are orthogonalised, with Adam for all that is no matrix.

    After Keller Jordan's Muon (2024): a convolution's kernel is taken as the matrix (out,
    in · k · k), a transposed one's as (in, out · k · k), its averaged gradient replaced by the
    nearest orthogonal matrix (five Newton–Schulz steps), so that weak directions learn as fast as
    strong ones. ``torch.optim.Muon`` takes two-dimensional parameters only, and has no Adam beside
    it. Groups with ``matrix=True`` get Muon at rate ``lr``; others Adam with betas (0.9, 0.99).
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], momentum: float = 0.95, eps: float = 1e-8
    ) -> None:
        super().__init__(groups, {"momentum": momentum, "eps": eps, "matrix": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            update = self._matrix if group["matrix"] else self._adam
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.add_(update(parameter, group), alpha=-group["lr"])

    def _matrix(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None  # noqa: S101 - the caller checked
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        state["mean"].lerp_(gradient, 1 - group["momentum"])
        update = gradient.lerp(state["mean"], group["momentum"]).flatten(1)
        gain = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        result: Tensor = orthogonal(update).mul_(gain).view_as(parameter)
        return result

    def _adam(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None  # noqa: S101 - the caller checked
        if not state:
            state["steps"] = 0
            state["mean"] = torch.zeros_like(gradient)
            state["square"] = torch.zeros_like(gradient)
        state["steps"] += 1
        state["mean"].lerp_(gradient, 0.1)
        state["square"].mul_(0.99).addcmul_(gradient, gradient, value=0.01)
        scale = (state["square"] / (1 - 0.99 ** state["steps"])).sqrt_().add_(group["eps"])
        result: Tensor = state["mean"] / (1 - 0.9 ** state["steps"]) / scale
        return result


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns; (m, n) to (m, n).

    A quintic Newton–Schulz iteration with the coefficients of Muon: singular values land in
    about [0.7, 1.2], which is near enough for an update.
    """
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def build_optimiser(
    name: str, model: nn.Module, lr: float, matrix_lr: float, grid_lr: float
) -> Optimizer:
    """The optimiser named by ``--optim``.

    ``matrix_lr`` is Muon's rate for matrices, ``grid_lr`` the temporal grids' in all of them: a
    point of a grid is met by few frames, so it has few steps to learn in.
    """
    grids: list[Tensor] = [m.values for m in model.modules() if isinstance(m, TemporalGrid)]
    matrices = _matrices(model) if name == "muon" else []
    known = {id(p) for p in [*grids, *matrices]}
    rest = [p for p in model.parameters() if id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "lr": matrix_lr, "matrix": True},
        {"params": grids, "lr": grid_lr},
        {"params": rest, "lr": lr},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "muon":
        return Muon(groups)
    if name == "adam":
        return torch.optim.Adam(groups)
    if name == "adamw":
        return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01)
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    raise InputError(f"--optim {name} is unknown: choose from {', '.join(OPTIMISERS)}")


def _matrices(model: nn.Module) -> list[Tensor]:
    """Kernels of more than three rows (an image's outputs) and more than one input.

    A depthwise kernel is none: its rows meet different channels. Nor is what gives motion: its
    rows are pixels a frame, pixels a frame squared and odds, each of a size of its own.
    """
    motions = [module[-1] for module in model.modules() if isinstance(module, MotionHead)]
    kernels = [
        module.weight
        for module in model.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
        and getattr(module, "groups", 1) == 1
        and module not in motions
    ]
    return [p for p in kernels if p.shape[0] > 3 and p[0].numel() > 1]


def learning_rate(lr_type: str) -> Callable[[float], float]:
    """Progress in [0, 1) to a factor on the rate, by HNeRV's ``--lr_type``.

    ``cosine_WARM_POWER_MIN`` rises from MIN in the share WARM, by POWER, then falls as a cosine
    to 0; ``hybrid_WARM_UP_DOWN_MIN_FINAL`` falls by a power to FINAL; ``step_AT_FACTOR``
    multiplies by FACTOR at the share AT; ``const`` stays.
    """
    kind, *rest = lr_type.split("_")
    try:
        numbers = [float(x) for x in rest]
        if not all(0 <= x < math.inf for x in numbers):
            raise ValueError
        if kind == "const" and not numbers:
            return lambda _: 1.0
        if kind == "step" and len(numbers) == 2:
            at, factor = numbers
            return lambda progress: factor if progress >= at else 1.0
        if kind == "cosine" and len(numbers) == 3 and 0 <= numbers[0] < 1:
            return _cosine(*numbers)
        if kind == "hybrid" and len(numbers) == 5 and 0 <= numbers[0] < 1:
            return _hybrid(*numbers)
    except ValueError:
        pass
    raise InputError(
        f"--lr_type {lr_type} is unknown: use cosine_0.1_1_0.1 (warm-up share, power, start), "
        "step_0.5_0.1 (at, factor), hybrid_0.1_1_1_0.1_0.1 or const"
    )


def _cosine(warm: float, power: float, least: float) -> Callable[[float], float]:
    def factor(progress: float) -> float:
        if progress < warm:
            return least + (1 - least) * float((progress / warm) ** power)
        return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))

    return factor


def _hybrid(
    warm: float, up: float, down: float, least: float, final: float
) -> Callable[[float], float]:
    def factor(progress: float) -> float:
        if progress < warm:
            return least + (1 - least) * float((progress / warm) ** up)
        return 1 - (1 - final) * float(((progress - warm) / (1 - warm)) ** down)

    return factor
