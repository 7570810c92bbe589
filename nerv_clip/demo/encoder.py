"""Everything about making the small CLIP: pictures, training, scores, and its folder."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from nerv_clip.demo import model_card, scores
from nerv_clip.demo.model_folder import save_weights, write_folder
from nerv_clip.demo.pool import Pool, load_pool, render_pool, shard_paths
from nerv_clip.demo.pretraining import Pretraining, TrainingPlan
from nerv_clip.errors import InputError
from nerv_clip.files import make_folder
from nerv_clip.interruption import interruptible
from nerv_clip.models.archive import load_archive
from nerv_clip.models.checkpoint import save_checkpoint
from nerv_clip.progress import SILENT, Progress
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.teacher.names import LOCAL

SAVE_SECONDS = 120  # between saves of the training state


@dataclass(frozen=True)
class EncoderRecipe:
    """How the small CLIP is made: numbers of pictures, and the plan of its training.

    ``out`` is the folder of the encoder; ``work`` keeps the rendered pictures and the state of the
    training.
    """

    out: Path
    work: Path
    singles: int = 16_000  # pictures of one item
    scenes: int = 56_000  # pictures of up to six items
    tests: int = 2_000  # pictures for the scores
    plan: TrainingPlan = TrainingPlan()  # noqa: RUF009  # frozen

    def check(self) -> None:
        """Raise `InputError` for a value out of range."""
        minimum = {
            "singles": (self.singles, 1),
            "scenes": (self.scenes, 1),
            "tests": (self.tests, 2 * scores.CHOICES - 1),  # enough false captions for each picture
            "steps": (self.plan.steps, 1),
            "batch": (self.plan.batch, 2),
            "seed": (self.plan.seed, 0),
        }
        for name, (value, low) in minimum.items():
            if value < low:
                raise InputError(f"`{name}` {value} is out of range: give {low} or more")


def train_encoder(recipe: EncoderRecipe, progress: Progress = SILENT) -> bool:
    """Render the pictures, train the encoder, score it, and write its folder.

    An interrupted call is resumed by the next one; returns False if it was interrupted. Raises
    `InputError` for a recipe with a value out of range, before anything is rendered.
    """
    recipe.check()
    singles, scenes, tests = _pools(recipe, progress)
    write_folder(recipe.out)
    training = Pretraining(recipe.out, singles, scenes, recipe.plan)
    if not _train(training, recipe, progress):
        return False
    save_weights(training.model, recipe.out)
    encoder = load_clip_encoder(f"{LOCAL}{recipe.out}")
    progress.message("scores on test scenes:")
    result = scores.measure(encoder, _embed(encoder, tests), tests.facts, progress)
    for line in model_card.score_lines(result):
        progress.message(line)
    model_card.write_card(
        recipe.out,
        recipe.plan,
        singles=len(singles),
        scenes=len(scenes),
        tests=len(tests),
        scores=result,
    )
    return True


def _pools(recipe: EncoderRecipe, progress: Progress) -> tuple[Pool, Pool, Pool]:
    """Pictures of single items, of scenes, and for tests; rendered if they are missing."""
    folder = recipe.work / "pool"
    shards = shard_paths(folder, recipe.singles, recipe.scenes, recipe.tests)
    with progress.task("pictures", len(shards), "thousand") as task:
        finished = 0
        for count in render_pool(shards):
            task.advance(count - finished)
            finished = count
    singles, scenes, tests = (
        load_pool([shard.path for shard in shards if shard.part == part])
        for part in ("one", "many", "test")
    )
    return singles, scenes, tests


def _train(training: Pretraining, recipe: EncoderRecipe, progress: Progress) -> bool:
    make_folder(recipe.work)
    path = recipe.work / "pretraining.pth"
    pictures = [len(training.singles), len(training.scenes)]
    about = {"plan": asdict(recipe.plan), "pictures": pictures}
    if path.exists():
        try:
            saved = load_archive(path)
        except InputError:
            saved = None
        if not isinstance(saved, dict) or not {"about", "state"} <= saved.keys():
            raise InputError(f"{path} is damaged: remove it, or choose another folder (`work`)")
        if saved["about"] != about:
            raise InputError(
                f"{path} belongs to a training with other settings: remove it, or choose another "
                "folder (`work`)"
            )
        training.restore(saved["state"])
    last = time.monotonic()
    with (
        progress.task("training", recipe.plan.steps, "step", training.step) as task,
        interruptible() as stop,
    ):
        for result in training.fit():
            task.advance(1, f"loss {result.loss:.3f}, accuracy {result.accuracy:.0%}")
            finished = training.step == recipe.plan.steps
            if stop or finished or time.monotonic() - last > SAVE_SECONDS:
                save_checkpoint({"about": about, "state": training.state()}, path)
                last = time.monotonic()
            if stop:
                progress.message("interrupted: the same command resumes from here")
                return False
    return True


def _embed(encoder: ClipEncoder, pool: Pool) -> Tensor:
    """Embeddings (N, D) of the pictures of a pool."""
    pictures = torch.from_numpy(pool.pictures).permute(0, 3, 1, 2)
    return torch.cat([encoder.images(part).cpu() for part in torch.split(pictures, 100)])
