"""Data-parallel training with two gloo processes on the CPU.

tests/test_readme.py runs the whole command with two processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nerv_clip.training.distributed import Workers
from tests import two_processes
from tests.test_training import same

ROOT = Path(__file__).parents[1]


def torchrun(*command: str) -> subprocess.CompletedProcess[str]:
    two = ["--standalone", "--nproc_per_node=2"]
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *two, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_two_processes_match_one_with_twice_the_batch(video_file: Path, tmp_path: Path) -> None:
    done = torchrun(str(Path(two_processes.__file__)), str(video_file), str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    two_processes.main(str(video_file), str(tmp_path))
    first, second, alone = (
        torch.load(tmp_path / f"{name}.pth", weights_only=True) for name in ("2_0", "2_1", "1_0")
    )
    assert same(first["weights"], second["weights"])
    assert first["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    for name, value in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_weighted_mean_of_the_shares_is_the_mean_of_the_step(frames: int) -> None:
    indices = list(range(frames))
    shares = [Workers(rank, 2).share(indices) for rank in (0, 1)]
    values = torch.tensor([3.0, 5, 11, 1, 8])
    mean = sum(weight * values[own].mean() for own, weight in shares) / 2
    assert mean == pytest.approx(values[:frames].mean().item())
