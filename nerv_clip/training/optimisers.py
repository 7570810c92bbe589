"""Optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nerv_clip.errors import InputError
from nerv_clip.models.heads import MotionHead
from nerv_clip.models.temporal import TemporalGrid

OPTIMISERS = ("muon", "adam", "adamw", "sgd")
STACK_LIMIT = 2**20  # elements of the largest matrix in a stack; more would take gigabytes


class Muon(Optimizer):
    """Muon for matrices and Adam for all other parameters, in one optimiser.

    Muon (Keller Jordan, 2024) is momentum with orthogonalised updates: the averaged gradient of a
    matrix is replaced by the nearest orthogonal matrix (five Newton–Schulz steps), so weak
    directions learn as fast as strong ones. The kernel of a convolution is reshaped to (out,
    in · k · k), that of a transposed convolution to (in, out · k · k). ``torch.optim.Muon`` accepts
    two-dimensional parameters only and does not include Adam.

    Parameter groups with ``matrix=True`` are updated by Muon at rate ``lr``, all others by Adam
    with betas (0.9, 0.99).
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], momentum: float = 0.95, eps: float = 1e-8
    ) -> None:
        super().__init__(groups, {"momentum": momentum, "eps": eps, "matrix": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        All parameters of a group are updated by one call each, because on a GPU the launch of a
        small kernel takes longer than its work.
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
        means = [self._running_mean(p, "mean") for p in parameters]
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
        means = [self._running_mean(p, "mean") for p in parameters]
        squares = [self._running_mean(p, "square") for p in parameters]
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

    def _running_mean(self, parameter: Tensor, name: str) -> Tensor:
        """The running mean ``name`` of a parameter, initialised with zeros."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        mean: Tensor = state[name]
        return mean


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Approximately the nearest matrices with orthonormal rows or columns: (m, n) to (m, n) each.

    On a GPU, small matrices are padded with zeros, which does not change the result, and stacked:
    many small products cost more than the padding. On a CPU they are processed one by one.
    """
    wide = [m.T if m.shape[0] > m.shape[1] else m for m in matrices]
    small = max(m.shape[0] for m in wide) * max(m.shape[1] for m in wide) <= STACK_LIMIT
    made = stacked(wide) if small and wide[0].is_cuda else [newton_schulz(m) for m in wide]
    return [
        result.T.contiguous() if result.shape != matrix.shape else result
        for result, matrix in zip(made, matrices, strict=True)
    ]


def stacked(matrices: Sequence[Tensor]) -> list[Tensor]:
    """`newton_schulz` of several matrices, padded to one size and stacked."""
    rows, columns = (max(m.shape[side] for m in matrices) for side in (0, 1))
    stack = matrices[0].new_zeros(len(matrices), rows, columns)
    parts = [place[: m.shape[0], : m.shape[1]] for place, m in zip(stack, matrices, strict=True)]
    torch._foreach_copy_(parts, list(matrices))
    return [
        place[: m.shape[0], : m.shape[1]].contiguous()
        for place, m in zip(newton_schulz(stack), matrices, strict=True)
    ]


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values to about [0.7, 1.2], which is accurate enough for an update.

    A quintic Newton–Schulz iteration with the coefficients of Muon. ``matrix`` is (…, m, n) with
    m <= n; the result has the same shape.
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
    """Build the optimiser ``name``, one of `OPTIMISERS`; raises `InputError` for any other.

    ``matrix_lr`` is the learning rate of Muon for matrices. ``grid_lr`` is that of the temporal
    grids with every optimiser: each of their steps is used by few frames, so it gets few updates.
    ``lr`` is that of all other parameters.
    """
    grids: list[Tensor] = [m.values for m in model.modules() if isinstance(m, TemporalGrid)]
    matrices = _matrices(model) if name == "muon" else []
    listed = {id(p) for p in [*grids, *matrices]}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in listed]
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
    raise InputError(f"`optim` {name} is unknown: choose from {', '.join(OPTIMISERS)}")


def _matrices(model: nn.Module) -> list[Tensor]:
    """Weights that Muon updates: those with more than three rows and more than one column.

    Three rows are the colours of the RGB head. Depthwise kernels are excluded because their rows
    apply to different channels, and the last layer of the motion head because its rows have
    different units (pixels per frame, pixels per frame squared, log-odds).
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
