"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nerv_clip.errors import InputError
from nerv_clip.models.heads import MotionHead
from nerv_clip.models.layers import TemporalGrid

OPTIMISERS = ("muon", "adam", "adamw", "sgd")
SMALL = 2**20  # elements of the largest matrix in a stack: far more would take gigabytes


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
        """Update every parameter that has a gradient.

        All parameters of a group at once: a GPU takes longer to start a small operation than to
        do it.
        """
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if parameters:
                update = self._muon if group["matrix"] else self._adam
                updates = update(parameters, gradients, group)
                torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _muon(
        self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        means = [self._kept(p, "mean") for p in parameters]
        torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
        updates = [u.flatten(1) for u in torch._foreach_lerp(gradients, means, group["momentum"])]
        results = []
        for parameter, update in zip(parameters, orthogonal(updates), strict=True):
            gain = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
            results.append(update.mul_(gain).view_as(parameter))
        return results

    def _adam(
        self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]
    ) -> list[Tensor]:
        means = [self._kept(p, "mean") for p in parameters]
        squares = [self._kept(p, "square") for p in parameters]
        steps = []
        for parameter in parameters:
            state = self.state[parameter]
            state["steps"] = state.get("steps", 0) + 1
            steps.append(state["steps"])
        torch._foreach_lerp_(means, gradients, 0.1)
        torch._foreach_mul_(squares, 0.99)
        torch._foreach_addcmul_(squares, gradients, gradients, value=0.01)
        scales = torch._foreach_div(squares, [1 - 0.99**step for step in steps])
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, group["eps"])
        results = torch._foreach_div(means, [1 - 0.9**step for step in steps])
        torch._foreach_div_(results, scales)
        return list(results)

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        """A running mean of this parameter, zeros at first."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        kept: Tensor = state[name]
        return kept


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """About the nearest matrices with orthonormal rows or columns; each (m, n) to (m, n).

    On a GPU small ones are one stack, padded by zeros, which change nothing: many small products
    cost more there than the padding. A CPU takes one after the other.
    """
    wide = [m.T if m.shape[0] > m.shape[1] else m for m in matrices]
    small = max(m.shape[0] for m in wide) * max(m.shape[1] for m in wide) <= SMALL
    made = stacked(wide) if small and wide[0].is_cuda else [newton_schulz(m) for m in wide]
    return [
        result.T.contiguous() if result.shape != matrix.shape else result
        for result, matrix in zip(made, matrices, strict=True)
    ]


def stacked(matrices: Sequence[Tensor]) -> list[Tensor]:
    """`newton_schulz` of several matrices at once."""
    rows, columns = (max(m.shape[side] for m in matrices) for side in (0, 1))
    stack = matrices[0].new_zeros(len(matrices), rows, columns)
    parts = [place[: m.shape[0], : m.shape[1]] for place, m in zip(stack, matrices, strict=True)]
    torch._foreach_copy_(parts, list(matrices))
    return [
        place[: m.shape[0], : m.shape[1]].contiguous()
        for place, m in zip(newton_schulz(stack), matrices, strict=True)
    ]


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Singular values brought to about [0.7, 1.2], near enough for an update; (…, m, n), m <= n.

    A quintic iteration with the coefficients of Muon.
    """
    size = torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True)
    x: Tensor = matrix / (size + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


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
