"""Where training runs: the device, and under ``torchrun`` who this process is, and averages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nerv_clip.errors import InputError


@dataclass(frozen=True)
class Workers:
    """The processes of one training; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def share(self, indices: list[int]) -> tuple[list[int], float]:
        """This process's frames of a step, and the weight of their mean in the step's.

        Where the frames don't divide, the weights make up for it; a process that is left without
        one takes the first, at weight 0.
        """
        own = indices[self.rank :: self.size]
        return own or indices[:1], len(own) * self.size / len(indices)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes, in one message.

        The networks are small: one message beats the overlap that DistributedDataParallel
        offers, and a head that is not trained yet needs no special care.
        """
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        self.average(flat)
        sizes = [g.numel() for g in gradients]
        for gradient, mean in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def average(self, values: Tensor) -> None:
        """Replace ``values`` by their mean over the processes."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size

    def any(self, flag: bool) -> bool:
        """Whether any process says so, so that all stop at the same step."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device())
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def device(self) -> str:
        """Where messages must lie: on the GPU for NCCL."""
        return f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"


def resolve_device(name: str) -> str:
    """``auto`` takes a GPU where there is one; raises `InputError` for an absent ``cuda``."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available; use --device cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Join the group that ``torchrun`` announces in the environment, or be alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Workers()
        return
    if device == "cuda":
        rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if rank >= gpus:
            raise InputError(
                f"torchrun started more processes here than there are GPUs ({gpus}): give "
                f"--nproc_per_node={gpus}, or --device cpu"
            )
        torch.cuda.set_device(rank)
    patience = timedelta(days=1)  # the others wait while the first evaluates; torchrun ends them
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=patience)
    try:
        yield Workers(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
