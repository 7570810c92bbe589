"""A whole training as the terminal runs it: load, check, train, evaluate, write."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerv_clip.clip_encoder import ClipEncoder, check_dim, embed_clip, load_clip_encoder
from nerv_clip.config import Architecture, ModelConfig
from nerv_clip.coordinates import Split, split_frames
from nerv_clip.distributed import Workers, workers
from nerv_clip.errors import InputError
from nerv_clip.evaluation import Evaluation, decode, evaluate, write_evaluation
from nerv_clip.flags import Options
from nerv_clip.losses import check_loss_fits
from nerv_clip.model import NeRVClip
from nerv_clip.record import check_same, record
from nerv_clip.run import Run, export_model, load_checkpoint, load_model, save_checkpoint
from nerv_clip.sizing import decoder_parameters, solve
from nerv_clip.terminal import Curves, Terminal, evaluation_line, interruptible, show_step
from nerv_clip.training import EpochResult, Trainer
from nerv_clip.video import Clip, load_clip
from nerv_clip.video_writer import QUALITY_DB, write_comparison, write_image, write_video


def run_session(options: Options) -> bool:
    """Train, or evaluate, as the options say; False if it was interrupted and can go on."""
    device = resolve_device(options.device)
    if options.eval_only:
        load_checkpoint(options.weight or Run(options.run).best)  # refused before all the rest
    with workers(device) as group:
        session = Session(options, group, device)
        session.run.create()
        group.wait()
        with session.run.locked() if group.first else nullcontext():
            return session.evaluate_only() if options.eval_only else session.train()


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
        self.split: list[Split] = split_frames(len(self.clip), options.split, options.shuffle)
        if "val" not in self.split:
            self.terminal.say(
                f"--data_split {options.split} holds out no frame: val figures stay empty"
            )
        _check_best_metric(options.train.best_metric, options.model, self.split)
        check_loss_fits(options.train.loss, self.clip.height, self.clip.width)
        self.teacher, self.true = self._load_teacher()
        self.best: tuple[bool, float] | None = None  # after the warm-up?, score of model_best.pth

    def _load_teacher(self) -> tuple[ClipEncoder | None, Tensor | None]:
        if self.options.teacher is None:
            return None, None
        teacher = load_clip_encoder(*self.options.teacher, device=self.device)
        if self.options.model.predict_clip or self.options.model.clip_input:
            check_dim(teacher, self.options.model.clip_dim)
        return teacher, embed_clip(teacher, self.clip, progress=self.group.first)

    # --- training ---------------------------------------------------------------------------

    def train(self) -> bool:
        """Train to the last epoch, or to an interruption (False), and write the run directory."""
        arch = solve(
            self.options.model,
            len(self.clip),
            self.split.count("train"),
            self.clip.height,
            self.clip.width,
        )
        state = self._state_to_resume(arch)
        torch.manual_seed(self.options.train.seed)
        model = NeRVClip(arch)
        if self.options.weight is not None and state is None:
            _start_from(model, self.options.weight)
        trainer = Trainer(
            model.to(self.device),
            self.clip,
            self.split,
            self.options.train,
            self.true,
            self.group,
            max_steps=10 if self.options.debug else None,
        )
        if state is None:
            self._begin(arch)
        else:
            trainer.restore(state)
            self.best = state["best"]
            self.terminal.say(f"going on in epoch {trainer.epoch + 1}, step {trainer.step + 1}")
        if trainer.epoch < self.options.train.epochs:
            self._announce(trainer)
            if not self._fit(trainer):
                return False
        if self.group.first:
            self._finish()
        self.group.wait()
        return True

    def _state_to_resume(self, arch: Architecture) -> dict[str, Any] | None:
        fresh = self.options.overwrite or not self.options.resume
        if fresh or not self.run.latest.exists():
            return None
        check_same(self.run, self._record(arch)["identity"])
        return load_checkpoint(self.run.latest)

    def _begin(self, arch: Architecture) -> None:
        """Empty the directory of an earlier run, and say what this one is."""
        self.group.wait()
        if self.group.first:
            self.run.clear(everything=self.options.overwrite)
            self.run.write_json(self.run.config, self._record(arch))
        self.group.wait()

    def _announce(self, trainer: Trainer) -> None:
        """Parameters, memory and time, measured by a trial step on a copy."""
        seconds = trainer.trial()
        left = self.options.train.epochs - trainer.epoch
        model = trainer.model
        parts = [f"{decoder_parameters(model) / 1e6:.4f} M parameters"]
        if model.clip_head is not None:
            head = sum(p.numel() for p in model.clip_head.parameters())
            parts.append(f"{head / 1e6:.4f} M in the CLIP head")
        parts.append(f"{_peak_gib(self.device):.1f} GiB of memory")
        parts.append(
            f"about {_duration(seconds * trainer.steps * left)} for {left} epochs of "
            f"{trainer.steps} steps"
        )
        a = model.arch
        self.terminal.say(
            f"{len(self.clip)} frames of {a.height}x{a.width} | grid {a.grid[0]}x{a.grid[1]}, "
            f"strides {' '.join(map(str, (*a.strides, a.head_stride)))}, widths "
            f"{' '.join(map(str, a.widths))}"
        )
        self.terminal.say(" | ".join(parts))

    def _fit(self, trainer: Trainer) -> bool:
        epochs = self.options.train.epochs
        total, done = trainer.steps * epochs, trainer.steps * trainer.epoch + trainer.step
        curves = Curves(self.run.tensorboard, trainer.epoch) if self.group.first else None
        with interruptible() as received, self.terminal.bar(total, "training", "step", done) as bar:
            for result in trainer.fit(
                on_step=lambda step: show_step(bar, step),
                save=lambda: self._save(trainer),
                save_seconds=60 * self.options.save_minutes,
                stop=lambda: bool(received),
            ):
                if curves is not None:
                    curves.epoch(result)
                    if result.epoch % self.options.train.eval_freq == 0 or result.epoch == epochs:
                        self._evaluate_epoch(trainer, result, curves)
                        self._save(trainer)
                self.group.wait()
        if curves is not None:
            curves.close()
        if trainer.epoch < epochs:
            self.terminal.say(
                f"stopped in epoch {trainer.epoch + 1} after step {trainer.step}: all is saved, "
                "the same command goes on from here"
            )
        return trainer.epoch >= epochs

    def _save(self, trainer: Trainer) -> None:
        if self.group.first:
            save_checkpoint({**trainer.state(), "best": self.best}, self.run.latest)

    def _evaluate_epoch(self, trainer: Trainer, result: EpochResult, curves: Curves) -> None:
        """Score the network as it would be shipped; it is shipped if it is the best so far."""
        candidate = self.run.path / ".candidate.pth"
        model = trainer.averaged()
        export_model(model, candidate, {"epoch": result.epoch})
        evaluation = self._evaluate(candidate, self.true, with_teacher=False)
        summary = evaluation.summary
        metric, _, group = self.options.train.best_metric.rpartition("_")
        warm = not trainer.trained_clip and model.clip_head is not None
        score = (not warm, float(summary[group][metric]))
        is_best = self.best is None or score > self.best
        if is_best:
            self.best = score
            candidate.replace(self.run.best)
            write_evaluation(self.run, evaluation, self.true)
        candidate.unlink(missing_ok=True)
        self.run.append_history({**result._asdict(), **_flat(summary), "best": is_best})
        similarity = torch.tensor(evaluation.per_frame["clip_similarity"].dropna().to_numpy())
        curves.evaluation(result.epoch, summary, similarity)
        middle = len(self.clip) // 2
        true, drawn = next(self._pairs(model, [middle], "picture"))
        curves.pictures(result.epoch, true.cpu(), drawn.cpu())
        self.terminal.say(evaluation_line(f"epoch {result.epoch}", summary))

    # --- evaluation and the files made from it ----------------------------------------------

    def evaluate_only(self) -> bool:
        """Evaluate ``model_best.pth``, or ``--weight``, and write the files made from it."""
        checkpoint = self.options.weight or self.run.best
        arch = load_model(checkpoint).arch
        size = (arch.frames, arch.height, arch.width)
        ours = (len(self.clip), self.clip.height, self.clip.width)
        if size != ours:
            raise InputError(
                f"{checkpoint} draws {size[0]} frames of {size[1]}x{size[2]}, but --data_path "
                f"gives {ours[0]} of {ours[1]}x{ours[2]}: give the clip and size it was trained on"
            )
        if arch.clip_dim and self.teacher is not None:
            check_dim(self.teacher, arch.clip_dim)
        if self.run.config.exists():
            check_same(self.run, self._record(arch)["identity"], ("clip", "data_split"))
        self._finish(checkpoint)
        return True

    def _finish(self, checkpoint: Path | None = None) -> None:
        checkpoint = checkpoint or self.run.best
        evaluation = self._evaluate(checkpoint, self.true, with_teacher=True)
        write_evaluation(self.run, evaluation, self.true)
        model = load_model(checkpoint, self.device)
        frames = range(len(self.clip))
        quality = write_comparison(
            self.run.comparison,
            lambda indices: self._pairs(model, indices, self.run.comparison.name),
            len(frames),
            self.clip.fps,
        )
        if quality < QUALITY_DB:
            self.terminal.say(f"comparison.mp4 shows its pictures at {quality:.1f} dB only")
        if self.options.dump_images:
            folder = self.run.path / "frames"
            folder.mkdir(exist_ok=True)
            for index, (_, drawn) in enumerate(self._pairs(model, frames, "frames")):
                write_image(folder / f"{index:05d}.png", drawn)
        if self.options.dump_videos:
            path = self.run.path / "reconstruction.mp4"
            write_video(
                path, (drawn for _, drawn in self._pairs(model, frames, path.name)), self.clip.fps
            )
        self.terminal.say(evaluation_line(checkpoint.name, evaluation.summary))
        self.terminal.say(f"written to {self.run.path}")

    def _evaluate(self, checkpoint: Path, true: Tensor | None, with_teacher: bool) -> Evaluation:
        with self.terminal.bar(len(self.clip), "evaluating", "frame") as bar:
            return evaluate(
                checkpoint,
                self.clip,
                self.split,
                true_embeddings=true,
                teacher=self.teacher if with_teacher else None,
                device=self.device,
                notice=lambda frames: bar.update(frames),
            )

    def _pairs(
        self, model: NeRVClip, indices: Sequence[int], label: str
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """True and decoded frames, (3, H, W) in [0, 1] each, under a bar."""
        with self.terminal.bar(len(indices), label, "frame") as bar:
            for chunk, drawn, _, _ in decode(model, list(indices)):
                bar.update()
                yield self.clip.read(chunk)[0].float() / 255, drawn[0]

    def _record(self, arch: Architecture) -> dict[str, Any]:
        return record(self.options, self.clip, self.teacher, self.group.size, arch)


def _check_best_metric(metric: str, model: ModelConfig, split: list[Split]) -> None:
    if metric.endswith("_val") and "val" not in split:
        raise InputError(f"--best_metric {metric}: this --data_split holds out no frame")
    if metric.startswith("clip") and not model.predict_clip:
        raise InputError(f"--best_metric {metric} needs --predict_clip")


def _start_from(model: NeRVClip, path: Path) -> None:
    """Load the weights of a checkpoint that has this network's shapes."""
    content = load_checkpoint(path)
    try:
        missing, unexpected = model.load_state_dict(content["weights"], strict=False)
    except RuntimeError:
        missing, unexpected = ["shapes"], []
    if unexpected or any(not name.startswith("encoder.") for name in missing):
        raise InputError(
            f"--weight {path} holds another network than these flags give: repeat its flags"
        )


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """``{"val": {"psnr": …}}`` as ``psnr_val``, for a row of ``history.csv``."""
    return {
        f"{figure}_{group}": value
        for group in ("all", "train", "val")
        for figure, value in summary[group].items()
    }


def _peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
