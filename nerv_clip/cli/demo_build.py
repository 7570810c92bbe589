"""Build everything in ``checkpoints/`` with the ordinary commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nerv_clip.cli.commands import run_command
from nerv_clip.cli.options import parse
from nerv_clip.demo.encoder import EncoderRecipe, train_encoder
from nerv_clip.demo.kitchen import LABELS, SAMPLES, SIZE, write_kitchen
from nerv_clip.demo.pretraining import TrainingPlan
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
MAX_RUN_BYTES = 5_900_000
# the shipped runs, with the flags in which they differ
RUNS = {
    "kitchen": "--predict_clip --clip_dim 512 --predict_dense",
    "kitchen_baseline": "",
    "kitchen_clip_input": "--clip_input",
}


@dataclass(frozen=True)
class DemoBuild:
    """Folders and settings of a build.

    The encoder and the runs are written below ``checkpoints``, the rendered kitchen into ``data``,
    and intermediate results into ``work``. ``training`` are flags of all runs, ``size`` is (height,
    width) in pixels, ``samples`` the number of rays a pixel.
    """

    checkpoints: Path
    data: Path
    work: Path
    recipe: EncoderRecipe
    training: str
    projection: Projection
    frames: int = FRAMES
    size: tuple[int, int] = SIZE
    samples: int = SAMPLES


def full() -> DemoBuild:
    """The build of the shipped checkpoints."""
    return DemoBuild(
        checkpoints=CHECKPOINTS,
        data=Path("data/Kitchen"),
        work=Path("build/demo"),
        recipe=EncoderRecipe(CHECKPOINTS / "demo_clip", Path("build/demo")),
        projection=Projection(),
        training="--data_split 3_3_4 --modelsize 0.5 -e 100 --preset fast --bits 8 --eval_freq 20",
    )


def quick(root: Path = Path("build/demo-quick")) -> DemoBuild:
    """A small build that only shows that all steps work; its results are of no use."""
    plan = TrainingPlan(steps=4, batch=16, warm_up=2)
    return DemoBuild(
        checkpoints=root / "checkpoints",
        data=root / "Kitchen",
        work=root / "work",
        recipe=EncoderRecipe(root / "checkpoints" / "demo_clip", root / "work", 16, 16, 128, plan),
        training="--data_split 3_3_4 --modelsize 0.2 -e 3 --preset fast --head_cells 600"
        " --batchSize 8 --pixel_loss_warmup_epochs 1",
        projection=Projection("PCA"),  # UMAP compiles for half a minute
        frames=60,
        size=(36, 64),
        samples=1,
    )


def build(demo: DemoBuild, progress: Progress) -> bool:
    """Build what is missing; returns False if it was interrupted and can be resumed.

    Finished parts are marked by files in ``demo.work``. Parts without such a file are built again.
    """
    make_folder(demo.work)
    if not _is_done(demo, "Kitchen") or not (demo.data / LABELS).exists():
        progress.message("rendering the kitchen")
        write_kitchen(demo.data, 0, demo.frames, demo.size, demo.samples, progress)
        _mark_done(demo, "Kitchen")
    if not _is_done(demo, "demo_clip"):
        progress.message("training the demo encoder")
        if not train_encoder(demo.recipe, progress):
            return False
        _mark_done(demo, "demo_clip")
    for name in RUNS:
        if not _is_done(demo, name):
            progress.message(f"training the run {name}")
            if not run_command(parse(command(demo, name))):
                return False
            run = Run(_run_folder(demo, name))
            if run.read_config().architecture.clip_dim:
                store_in_run(verify(run.best, progress=progress))
                shutil.copyfile(map_file(run, demo.projection), run.map)
            prepare_to_ship(run, demo.data, progress)
            _mark_done(demo, name)
    progress.message(f"{demo.checkpoints} is complete: {_bytes(demo.checkpoints) / 1e6:.1f} MB")
    return True


def command(demo: DemoBuild, name: str) -> list[str]:
    """The flags of ``train/train_nerv_clip.py`` for a run."""
    encoder = demo.checkpoints / "demo_clip"
    model = "demo" if encoder.resolve() == DEMO else f"{LOCAL}{encoder}"
    out = _run_folder(demo, name)
    flags = f"--data_path {demo.data} --clip_model {model} {demo.training} {RUNS[name]}"
    fresh = not Run(out).latest.exists()  # otherwise an interrupted training is resumed
    return [*flags.split(), "--outf", str(out), *(["--overwrite"] if fresh else [])]


def _run_folder(demo: DemoBuild, name: str) -> Path:
    # relative: a shipped run does not contain the path of the machine that built it
    return Path(os.path.relpath(demo.checkpoints / name))


def prepare_to_ship(run: Run, data: Path, progress: Progress) -> None:
    """Remove the files of a finished run that only training needs, and limit its size.

    If the run is larger than `MAX_RUN_BYTES`, ``comparison.mp4`` is encoded again at a lower
    quality. ``data`` is the source video. Raises `InputError` for a run that is not finished.
    """
    if not run.metrics.exists():
        raise InputError(f"{run.path} has no metrics.json: its training is not finished")
    dropped = [run.latest, run.path / ".lock", run.path / "logs"]
    kept = [item for item in run.path.iterdir() if item not in dropped and item != run.comparison]
    left = MAX_RUN_BYTES - sum(item.stat().st_size for item in kept)
    if run.comparison.stat().st_size > left:
        video = load_video(VideoSpec(data), progress=progress)
        model = load_model(run.best)

        def pairs(indices: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
            return frame_pairs(video, model, indices, run.comparison.name, progress)

        about = (len(video), video.fps, left, file_hash(run.best))
        quality = shrink_comparison(run.comparison, pairs, *about)
        progress.message(f"{run.comparison} was reduced to {quality:.1f} dB to limit its size")
    for item in dropped:  # last, because an interrupted training needs them to resume
        shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)


def _is_done(demo: DemoBuild, part: str) -> bool:
    return (demo.work / f"{part}.done").exists()


def _mark_done(demo: DemoBuild, part: str) -> None:
    (demo.work / f"{part}.done").touch()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
