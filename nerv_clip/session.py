"""A whole training as the terminal runs it: load, check, train, evaluate, write."""

from __future__ import annotations

import copy
import dataclasses
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerv_clip.clip_encoder import ClipEncoder, check_dim, embed_clip, load_clip_encoder
from nerv_clip.config import Architecture
from nerv_clip.coordinates import Split, split_frames
from nerv_clip.distributed import Workers, workers
from nerv_clip.errors import InputError
from nerv_clip.evaluation import Evaluation, decode, evaluate, write_evaluation
from nerv_clip.flags import Options
from nerv_clip.losses import check_loss_fits
from nerv_clip.model import NeRVClip
from nerv_clip.run import (
    Run,
    export_model,
    git_commit,
    load_checkpoint,
    load_model,
    save_checkpoint,
    versions,
)
from nerv_clip.sizing import decoder_parameters, solve
from nerv_clip.terminal import Curves, Terminal, evaluation_line, interruptible, show_step
from nerv_clip.training import Trainer
from nerv_clip.video import Clip, load_clip, write_comparison, write_image, write_video


def resolve_device(name: str) -> str:
    """``auto`` takes a GPU where there is one; raises `InputError` for an absent ``cuda``."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no CUDA device is available; use --device cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


class Session:
    """One training or evaluation of a run directory; its parts are made in the constructor."""

    def __init__(self, options: Options, group: Workers, device: str) -> None:
        self.options, self.group, self.device = options, group, device
        self.terminal = Terminal(quiet=not group.first)
        self.run = Run(options.run)
        self.clip: Clip = load_clip(
            options.data, cache_gb=options.cache_gb, device=device, progress=group.first
        )
        self.split = split_frames(len(self.clip), options.split, options.shuffle)
        check_loss_fits(options.train.loss, self.clip.height, self.clip.width)
        self.arch: Architecture = solve(
            options.model,
            len(self.clip),
            self.split.count("train"),
            self.clip.height,
            self.clip.width,
        )
        self.teacher: ClipEncoder | None = None
        self.true: Tensor | None = None

    def load_teacher(self) -> None:
        """Load the teacher that the flags ask for and embed the clip with it."""
        if self.options.teacher is None:
            return
        name, pretrained = self.options.teacher
        self.teacher = load_clip_encoder(name, pretrained, device=self.device)
        if self.options.model.predict_clip or self.options.model.clip_input:
            check_dim(self.teacher, self.options.model.clip_dim)
        self.true = embed_clip(self.teacher, self.clip, progress=self.group.first)

    def identity(self) -> dict[str, Any]:
        """What a resume must share with the run: the clip, the network, the schedule."""
        return {
            "clip": self.clip.hash,
            "data_split": self.options.split + (" shuffled" if self.options.shuffle else ""),
            "teacher": None if self.teacher is None else self.teacher.id,
            **{f"architecture.{k}": v for k, v in self.arch.plain().items()},
            **dataclasses.asdict(self.options.train),
            "processes": self.group.size,
        }

    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        model = NeRVClip(self.arch, with_encoder=False)
        return {
            "flags": self.options.asked,
            "identity": self.identity(),
            "architecture": self.arch.plain(),
            "parameters": {
                "decoder": decoder_parameters(model),
                "clip_head": sum(p.numel() for p in model.clip_head.parameters())
                if model.clip_head is not None
                else 0,
            },
            "clip": {
                "path": str(self.options.data.path),
                "hash": self.clip.hash,
                "frames": len(self.clip),
                "height": self.clip.height,
                "width": self.clip.width,
                "fps": self.clip.fps,
                "timestamps": list(self.clip.timestamps),
            },
            "teacher": None
            if self.teacher is None
            else {"name": self.teacher.name, "id": self.teacher.id, "dim": self.teacher.dim},
            "seed": self.options.train.seed,
            "versions": versions(),
            "commit": git_commit(),
        }

    def evaluate(self, checkpoint: Path, with_teacher: bool) -> Evaluation:
        """Score a checkpoint file, with a bar."""
        with self.terminal.bar(len(self.clip), "evaluating", "frame") as bar:
            return evaluate(
                checkpoint,
                self.clip,
                self.split,
                true_embeddings=self.true,
                teacher=self.teacher if with_teacher else None,
                device=self.device,
                notice=bar.update,
            )

    def finish(self, epoch: int) -> dict[str, Any]:
        """The last evaluation, of ``model_best.pth``, and all files that are made from it."""
        evaluation = self.evaluate(self.run.best, with_teacher=True)
        write_evaluation(self.run, evaluation, self.true)
        model = load_model(self.run.best, self.device)
        write_comparison(self.run.comparison, self._pairs(model), fps=self.clip.fps)
        if self.options.dump_images:
            folder = self.run.path / "frames"
            folder.mkdir(exist_ok=True)
            for index, (_, drawn) in enumerate(self._pairs(model)):
                write_image(folder / f"{index:05d}.png", drawn)
        if self.options.dump_videos:
            frames = (drawn for _, drawn in self._pairs(model))
            write_video(self.run.path / "reconstruction.mp4", frames, fps=self.clip.fps)
        self.terminal.say("model_best.pth, " + evaluation_line(epoch, evaluation.summary))
        self.terminal.say(f"written to {self.run.path}")
        return evaluation.summary
