"""The whole making of the small CLIP: pictures, training, scores, and its folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from nerv_clip.demo import model_card, scores
from nerv_clip.demo.model_folder import save_weights, write_folder
from nerv_clip.demo.pool import Pool, load_pool, render_pool, shard_paths
from nerv_clip.demo.pretraining import Plan, Pretraining
from nerv_clip.errors import InputError
from nerv_clip.files import make_folder
from nerv_clip.interruption import interruptible
from nerv_clip.models.checkpoint import save_checkpoint
from nerv_clip.progress import Progress
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.teacher.names import LOCAL


@dataclass(frozen=True)
class Lesson:
    """What the small CLIP is taught with."""

    out: Path
    work: Path  # rendered pictures, and the state of training
    singles: int = 16_000
    scenes: int = 56_000
    tests: int = 2_000
    plan: Plan = Plan()  # noqa: RUF009  # frozen

    def check(self) -> None:
        """Raise `InputError` for numbers that no lesson can have."""
        least = {
            "--singles": (self.singles, 1),
            "--scenes": (self.scenes, 1),
            "--tests": (self.tests, 2 * scores.CHOICES - 1),  # enough that are wrong of each
            "--steps": (self.plan.steps, 1),
            "--batch": (self.plan.batch, 2),
            "--seed": (self.plan.seed, 0),
        }
        for flag, (value, low) in least.items():
            if value < low:
                raise InputError(f"{flag} {value} is out of range: give {low} or more")


def teach(lesson: Lesson, progress: Progress) -> bool:
    """Make the encoder's folder, going on from what is there; False if it was interrupted.

    Raises `InputError` for a lesson that cannot be given, before anything is rendered.
    """
    lesson.check()
    ones, many, tests = _pools(lesson, progress)
    write_folder(lesson.out)
    training = Pretraining(lesson.out, ones, many, lesson.plan)
    if not _train(training, lesson, progress):
        return False
    save_weights(training.model, lesson.out)
    encoder = load_clip_encoder(f"{LOCAL}{lesson.out}")
    progress.message("scores on unseen scenes:")
    pictures = _embedded(encoder, tests)
    result = scores.measure(encoder, pictures, tests.true, progress)
    for line in model_card.score_lines(result):
        progress.message(line)
    model_card.write(lesson.out, asdict(lesson.plan), len(ones), len(many), len(tests), result)
    return True


def _pools(lesson: Lesson, progress: Progress) -> tuple[Pool, Pool, Pool]:
    folder = lesson.work / "pool"
    plan = shard_paths(folder, lesson.singles, lesson.scenes, lesson.tests)
    with progress.task("pictures", len(plan), "thousand") as task:
        done = 0
        for count in render_pool(plan):
            task.advance(count - done)
            done = count
    one, many, test = (
        load_pool([shard.path for shard in plan if shard.part == part])
        for part in ("one", "many", "test")
    )
    return one, many, test


def _train(training: Pretraining, lesson: Lesson, progress: Progress) -> bool:
    make_folder(lesson.work)
    path = lesson.work / "pretraining.pth"
    about = {"plan": asdict(lesson.plan), "pictures": [len(training.ones), len(training.many)]}
    if path.exists():
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["about"] != about:
            raise InputError(f"{path} is of another plan: remove it, or give another --work")
        training.restore(saved["state"])
    last = time.monotonic()
    with (
        progress.task("training", lesson.plan.steps, "step", training.step) as task,
        interruptible() as stop,
    ):
        for result in training.fit():
            task.advance(1, f"loss {result.loss:.3f}, {result.right:.0%} right")
            if stop or time.monotonic() - last > 120 or training.step == lesson.plan.steps:
                save_checkpoint({"about": about, "state": training.state()}, path)
                last = time.monotonic()
            if stop:
                progress.message("interrupted: the same command goes on from here")
                return False
    return True


def _embedded(encoder: ClipEncoder, pool: Pool) -> Tensor:
    """Embeddings (N, D) of a pool's pictures."""
    pictures = torch.from_numpy(pool.pictures).permute(0, 3, 1, 2)
    return torch.cat([encoder.images(part).cpu() for part in torch.split(pictures, 100)])
