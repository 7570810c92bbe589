"""The device, and data-parallel training with several processes under ``torchrun``."""

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
    """The processes of one training; a single process by default."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, indices: list[int]) -> tuple[list[int], float]:
        """The frames of a step that this process trains on, and the weight of their mean loss.

        The weights are such that the average over the processes is the mean over all frames, also
        if their number is not divisible. A process without a frame takes the first, at weight 0.
        """
        own = indices[self.rank :: self.size]
        return own or indices[:1], len(own) * self.size / len(indices)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes, in one message.

        The networks are small, so one message is faster than DistributedDataParallel, which
        overlaps communication and computation. It also needs no special case for a head that is
        not trained yet.
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
        """Replace ``values`` by their mean over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is True in any process, so that all processes stop at the same step."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device())
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value.item())

    def wait(self) -> None:
        """Wait until all processes have called this method."""
        if self.size > 1:
            dist.barrier()

    def device(self) -> str:
        """The device that messages must be on: the GPU with NCCL."""
        return f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"


def resolve_device(name: str) -> str:
    """``auto`` is a GPU if available, else the CPU; `InputError` for ``cuda`` without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("`device` cuda: no CUDA device is available; use `device` cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


@contextmanager
def workers(device: str) -> Iterator[Workers]:
    """Join the process group described by the variables of ``torchrun``, if they are set."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Workers()
        return
    if device == "cuda":
        rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if rank >= gpus:
            raise InputError(
                f"torchrun started more processes than there are GPUs ({gpus}): use `processes` "
                f"{gpus}, or `device` cpu"
            )
        torch.cuda.set_device(rank)
    timeout = timedelta(days=1)  # the others wait during an evaluation; torchrun ends them
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=timeout)
    try:
        yield Workers(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
