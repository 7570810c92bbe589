"""Learning-rate schedules against HNeRV's formula, Muon against linear algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve
from nerv_clip.training.optimisers import (
    OPTIMISERS,
    build_optimiser,
    orthogonal,
    stacked,
)
from nerv_clip.training.schedules import learning_rate


def test_cosine_schedule_matches_hnerv_s_formula() -> None:
    factor = learning_rate("cosine_0.1_1_0.1")
    assert factor(0) == pytest.approx(0.1)
    assert factor(0.05) == pytest.approx(0.1 + 0.9 * 0.5)
    assert factor(0.1) == pytest.approx(1)
    assert factor(0.55) == pytest.approx(0.5)
    assert factor(0.775) == pytest.approx(0.5 * (1 + math.cos(0.75 * math.pi)))


def test_step_const_and_hybrid_schedules() -> None:
    step, const = learning_rate("step_0.5_0.1"), learning_rate("const")
    assert [step(x) for x in (0, 0.49, 0.5, 0.9)] == [1, 1, 0.1, 0.1]
    assert [const(x) for x in (0, 0.5, 0.99)] == [1, 1, 1]
    hybrid = learning_rate("hybrid_0.2_1_1_0.1_0.3")
    assert [hybrid(x) for x in (0, 0.2, 0.6)] == pytest.approx([0.1, 1, 1 - 0.7 / 2])


@pytest.mark.parametrize("name", ["linear", "cosine", "cosine_a_b_c", "cosine_1_1_0", "step_1"])
def test_unknown_schedules_raise_input_error(name: str) -> None:
    with pytest.raises(InputError, match="`lr_type`"):
        learning_rate(name)


@pytest.mark.parametrize("shape", [(8, 8), (6, 40), (40, 6)])
def test_orthogonal_is_close_to_the_polar_factor(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    (result,) = orthogonal([matrix])
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.4
    assert values.max() < 1.3
    nearest = u @ vh
    cosine = nn.functional.cosine_similarity(result.flatten(), nearest.flatten(), dim=0)
    assert cosine > 0.95


def test_stacked_matrices_give_the_same_updates() -> None:
    random = torch.Generator().manual_seed(0)
    matrices = [torch.randn(*shape, generator=random) for shape in [(3, 5), (8, 8), (4, 60)]]
    for one, alone in zip(stacked(matrices), orthogonal(matrices), strict=True):
        torch.testing.assert_close(one, alone)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_fits_a_linear_map(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, 4))
    optimiser = build_optimiser(name, model, lr=0.01, matrix_lr=0.01, grid_lr=0.01)
    x = torch.randn(64, 4)
    losses = []
    for _ in range(150):
        loss = (model(x) - x.flip(1)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]


def test_muon_updates_kernels_but_not_grids_and_biases() -> None:
    model = NeRVClip(solve(ModelConfig(modelsize=0.1, lower_width=4), 12, 8, 45, 61))
    groups = build_optimiser("muon", model, 0.1, 0.2, 0.3).param_groups
    matrices, grids, rest = groups
    assert (matrices["lr"], grids["lr"], rest["lr"]) == (0.2, 0.3, 0.1)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert {id(p) for p in grids["params"]} == {id(grid.values) for grid in model.grids}
    assert all(p.dim() >= 2 for p in matrices["params"])
    depthwise = {id(m.weight) for m in model.modules() if getattr(m, "groups", 1) > 1}
    assert depthwise
    assert not depthwise & {id(p) for p in matrices["params"]}
    first, _, last = model.get_submodule("motion_head")
    assert any(p is first.weight for p in matrices["params"])
    assert not any(p is last.weight for p in matrices["params"])
    with pytest.raises(InputError, match="`optim`"):
        build_optimiser("lion", model, 0.1, 0.1, 0.1)
