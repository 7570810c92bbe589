"""`make demo` at a small size, and the shipped files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from nerv_clip import ClipEncoder, InputError, Run, load_clip_encoder, load_model
from nerv_clip.cli.demo_build import RUNS, build, prepare_to_ship, quick
from nerv_clip.demo import scores
from nerv_clip.demo.pool import load_pool, render_shard, shard_paths
from nerv_clip.demo.vocabulary import BPE
from nerv_clip.evaluation.projection import Projection
from nerv_clip.progress import SILENT
from nerv_clip.runs.embedding_map import map_file

NO_EMBREE = "embreex is not installed (no wheel for Linux on ARM)"
SHIPPED = Path(__file__).parents[1] / "checkpoints"


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_demo_is_built_once_and_missing_parts_are_rebuilt(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason=NO_EMBREE)
    demo = quick(tmp_path / "demo")
    assert build(demo, SILENT)
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    for name in RUNS:
        run = Run(demo.checkpoints / name)
        assert run.best.exists()
        assert run.comparison.exists()
        assert not run.latest.exists()
        assert not run.tensorboard.exists()
        assert run.read_config().split.rule == "3_3_4"
    assert load_model(demo.checkpoints / "kitchen" / "model_best.pth").arch.clip_dim == 512
    assert "R@1 among 64" in (demo.checkpoints / "demo_clip" / "README.md").read_text()
    assert build(demo, SILENT)
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    (demo.work / "kitchen_clip_input.done").unlink()  # as after an interruption
    assert build(demo, SILENT)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    changed = {path.parent.name for path in after if after[path] != made.get(path)}
    assert "kitchen_clip_input" in changed
    assert not changed & {"kitchen", "kitchen_baseline", "demo_clip", "pool", "Kitchen"}


def test_shipped_map_belongs_to_the_shipped_embeddings() -> None:
    run = Run(SHIPPED / "kitchen")
    assert map_file(run, Projection()) == run.map


def test_unfinished_run_is_not_shipped(tmp_path: Path) -> None:
    (tmp_path / "model_latest.pth").write_bytes(b"training")
    with pytest.raises(InputError, match="not finished"):
        prepare_to_ship(Run(tmp_path), Path("data"), SILENT)
    assert (tmp_path / "model_latest.pth").exists()


def test_shipped_files_are_small() -> None:
    assert size(SHIPPED) < 40e6
    assert size(SHIPPED / "demo_clip") <= 12e6
    for name in RUNS:
        assert size(SHIPPED / name) < 6e6, name


@pytest.fixture(scope="module")
def demo() -> ClipEncoder:
    """The shipped encoder."""
    return load_clip_encoder("demo")


def test_demo_encoder_matches_open_clip(demo: ClipEncoder) -> None:
    name = f"local-dir:{SHIPPED / 'demo_clip'}"
    model, _, transform = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name, bpe_path=str(SHIPPED / "demo_clip" / BPE))
    with torch.no_grad():
        text = model.eval().encode_text(tokenizer(["a red mug"]))
    torch.testing.assert_close(
        demo.texts(["a red mug"]), torch.nn.functional.normalize(text, dim=1), atol=1e-5, rtol=0
    )
    assert "CenterCrop" not in repr(transform)
    assert demo.dim == 512
    with pytest.raises(InputError, match=r'not in the vocabulary of the demo encoder: "zebra"'):
        demo.texts(["a zebra on the table"])


def test_demo_encoder_retrieves_in_other_kitchens(demo: ClipEncoder, tmp_path: Path) -> None:
    """Far above chance on 120 test scenes; full results are in bench/results."""
    pytest.importorskip("embreex", reason=NO_EMBREE)
    (shard,) = shard_paths(tmp_path, 0, 0, 120)
    render_shard(shard)
    pool = load_pool([shard.path])
    pictures = demo.images(torch.from_numpy(pool.pictures).permute(0, 3, 1, 2))
    groups = scores.mean_by_group(scores.precision_by_query(demo, pictures, pool.facts))
    for name, group in groups.items():
        assert group.precision > group.chance + 0.5 * (1 - group.chance), name


def test_synonyms_are_closer_than_opposites(demo: ClipEncoder) -> None:
    closer = [row.to_synonym > row.to_opposite for row in scores.synonym_scores(demo)]
    assert sum(closer) >= 0.9 * len(closer)


@pytest.mark.parametrize("name", RUNS)
def test_shipped_run_is_complete_and_consistent(name: str, demo: ClipEncoder) -> None:
    run = Run(SHIPPED / name)
    config = run.read_config()
    model = load_model(run.best)
    frames = model.arch.frames
    assert frames >= 240
    per_frame = run.read_per_frame()
    assert len(per_frame) == frames
    assert (per_frame["split"] == "val").sum() == frames // 4
    assert config.train.epochs > config.train.pixel_loss_warmup_epochs
    assert run.read_teacher().id == demo.id  # not an older encoder
    assert run.comparison.stat().st_size > 10_000
    psnr = run.read_metrics().train.psnr
    assert psnr is not None
    assert psnr > 28
    if name == "kitchen":
        t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
        with torch.no_grad():
            now = torch.nn.functional.normalize(model(t).embedding, dim=1)
        stored = np.load(run.predicted).astype(np.float32)
        assert stored.shape == (frames, 512)
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        assert (now[[0, 2]].numpy() * stored[[0, -1]]).sum(1).min() > 0.999
