"""Everything that ships in ``checkpoints/``, made from nothing by the ordinary commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nerv_clip.cli.commands import run_command
from nerv_clip.cli.options import parse
from nerv_clip.demo.encoder import Lesson, teach
from nerv_clip.demo.kitchen import LABELS, SAMPLES, SIZE, write_kitchen
from nerv_clip.demo.pretraining import Plan
from nerv_clip.demo.story import FRAMES
from nerv_clip.errors import InputError
from nerv_clip.evaluation.projection import Projection
from nerv_clip.files import file_hash, make_folder
from nerv_clip.models.checkpoint import load_model
from nerv_clip.progress import Progress
from nerv_clip.runs.embedding_map import map_file
from nerv_clip.runs.evaluation import frame_pairs
from nerv_clip.runs.run import Run
from nerv_clip.teacher.names import DEMO, LOCAL
from nerv_clip.verification import store_in_run, verify
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import load_video
from nerv_clip.video.writer import shrink_comparison

CHECKPOINTS = DEMO.parent
MOST_BYTES = 5_900_000  # of a run that ships
# what ships, and what sets it apart; all else is the same
RUNS = {
    "kitchen": "--predict_clip --clip_dim 512",
    "kitchen_baseline": "",
    "kitchen_clip_input": "--clip_input",
}


@dataclass(frozen=True)
class Build:
    """Where the demo is built, and how large."""

    checkpoints: Path
    data: Path
    work: Path
    lesson: Lesson
    training: str
    projection: Projection
    frames: int = FRAMES
    size: tuple[int, int] = SIZE
    samples: int = SAMPLES


def full() -> Build:
    """What ships."""
    return Build(
        checkpoints=CHECKPOINTS,
        data=Path("data/Kitchen"),
        work=Path("build/demo"),
        lesson=Lesson(CHECKPOINTS / "demo_clip", Path("build/demo")),
        projection=Projection(),
        training="--data_split 3_3_4 --modelsize 0.5 -e 100 --preset fast --bits 8 --eval_freq 20",
    )


def quick(root: Path = Path("build/demo-quick")) -> Build:
    """The same path at toy size: what comes out has no use but to show that it works."""
    plan = Plan(steps=12, batch=16, warm_up=2)
    return Build(
        checkpoints=root / "checkpoints",
        data=root / "Kitchen",
        work=root / "work",
        lesson=Lesson(root / "checkpoints" / "demo_clip", root / "work", 24, 36, 128, plan),
        training="--data_split 3_3_4 --modelsize 0.2 -e 3 --preset fast --head_cells 600"
        " --batchSize 8 --pixel_loss_warmup_epochs 1",
        projection=Projection("PCA"),  # UMAP compiles for half a minute
        frames=60,
        size=(36, 64),
        samples=1,
    )


def build(what: Build, progress: Progress) -> bool:
    """Make it all, going on from what is there; False if it was interrupted.

    What is finished is known by a mark under ``what.work``: without one, a part is made anew.
    """
    make_folder(what.work)
    if not _done(what, "Kitchen") or not (what.data / LABELS).exists():
        progress.message("the kitchen: rendering")
        write_kitchen(what.data, 0, what.frames, what.size, what.samples, progress)
        _mark(what, "Kitchen")
    if not _done(what, "demo_clip"):
        progress.message("the demo encoder: pictures, then training")
        if not teach(what.lesson, progress):
            return False
        _mark(what, "demo_clip")
    for name in RUNS:
        if not _done(what, name):
            progress.message(f"the run {name}")
            if not run_command(parse(command(what, name))):
                return False
            run = Run(_place(what, name))  # what ships does not name where it was built
            ship(run, what.data, progress)
            if run.read_config().architecture.clip_dim:
                store_in_run(verify(run.best, progress=progress))
                shutil.copyfile(map_file(run, what.projection), run.map)
            _mark(what, name)
    progress.message(f"all of {what.checkpoints}: {_bytes(what.checkpoints) / 1e6:.1f} MB")
    return True


def command(what: Build, name: str) -> list[str]:
    """The flags of ``train/train_nerv_clip.py`` that make a run."""
    encoder = what.checkpoints / "demo_clip"
    model = "demo" if encoder.resolve() == DEMO else f"{LOCAL}{encoder}"
    out = _place(what, name)
    flags = f"--data_path {what.data} --clip_model {model} {what.training} {RUNS[name]}"
    fresh = not Run(out).latest.exists()  # one that has it was cut off and goes on
    return [*flags.split(), "--outf", str(out), *(["--overwrite"] if fresh else [])]


def _place(what: Build, name: str) -> Path:
    return Path(os.path.relpath(what.checkpoints / name))


def ship(run: Run, data: Path, progress: Progress) -> None:
    """Drop what only training needs from a finished run, and bring it below `MOST_BYTES`.

    What gives way is the quality of ``comparison.mp4``.
    """
    if not run.metrics.exists():
        raise InputError(f"{run.path} has no metrics.json: its training is not finished")
    dropped = [run.latest, run.path / ".lock", run.path / "logs"]
    kept = [item for item in run.path.iterdir() if item not in dropped and item != run.comparison]
    left = MOST_BYTES - sum(item.stat().st_size for item in kept)
    if run.comparison.stat().st_size > left:
        video = load_video(VideoSpec(data), progress=progress)
        model = load_model(run.best)

        def pairs(indices: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
            return frame_pairs(video, model, indices, run.comparison.name, progress)

        about = (len(video), video.fps, left, file_hash(run.best))
        quality = shrink_comparison(run.comparison, pairs, *about)
        progress.message(f"{run.comparison}: shows its pictures at {quality:.1f} dB, to stay small")
    for item in dropped:  # last: without these a training does not go on
        shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)


def _done(what: Build, part: str) -> bool:
    return (what.work / f"{part}.done").exists()


def _mark(what: Build, part: str) -> None:
    (what.work / f"{part}.done").touch()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
