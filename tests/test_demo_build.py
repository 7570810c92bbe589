"""`make demo` at toy size, and what ships."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch

from nerv_clip import ClipEncoder, InputError, Run, load_clip_encoder, load_model
from nerv_clip.cli import Terminal
from nerv_clip.cli.demo_build import RUNS, build, quick, ship
from nerv_clip.demo import scores
from nerv_clip.demo.pool import load_pool, render_shard, shard_paths
from nerv_clip.demo.vocabulary import BPE
from nerv_clip.evaluation.projection import Projection
from nerv_clip.runs.embedding_map import map_file

SHIPPED = Path(__file__).parents[1] / "checkpoints"


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_everything_is_built_from_nothing_and_only_once(tmp_path: Path) -> None:
    what = quick(tmp_path / "demo")
    assert build(what, Terminal(quiet=True))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    for name in RUNS:
        run = Run(what.checkpoints / name)
        assert run.best.exists()
        assert run.comparison.exists()
        assert not run.latest.exists()
        assert not run.tensorboard.exists()
        assert run.read_config()["flags"]["data_split"] == "3_3_4"
    assert load_model(what.checkpoints / "kitchen" / "model_best.pth").arch.clip_dim == 512
    assert "R@1 among 64" in (what.checkpoints / "demo_clip" / "README.md").read_text()
    assert build(what, Terminal(quiet=True))
    assert made == {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    (what.work / "kitchen_clip_input.done").unlink()  # as if it had been stopped before this part
    assert build(what, Terminal(quiet=True))
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*.*")}
    changed = {path.parent.name for path in after if after[path] != made.get(path)}
    assert "kitchen_clip_input" in changed
    assert not changed & {"kitchen", "kitchen_baseline", "demo_clip", "pool", "Kitchen"}


def test_the_shipped_map_is_of_the_shipped_embeddings() -> None:
    run = Run(SHIPPED / "kitchen")
    assert map_file(run, Projection()) == run.map


def test_an_unfinished_run_is_not_shipped(tmp_path: Path) -> None:
    (tmp_path / "model_latest.pth").write_bytes(b"training")
    with pytest.raises(InputError, match="not finished"):
        ship(Run(tmp_path), Path("data"), Terminal(quiet=True))
    assert (tmp_path / "model_latest.pth").exists()


def test_what_ships_is_small() -> None:
    assert size(SHIPPED) < 40e6
    assert size(SHIPPED / "demo_clip") <= 12e6
    for name in RUNS:
        assert size(SHIPPED / name) < 6e6, name


@pytest.fixture(scope="module")
def demo() -> ClipEncoder:
    """The encoder that ships."""
    return load_clip_encoder("demo")


def test_the_demo_encoder_is_read_by_open_clip_alone(demo: ClipEncoder) -> None:
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
    with pytest.raises(InputError, match='the demo encoder doesn\'t know "zebra"'):
        demo.texts(["a zebra on the table"])


def test_the_demo_encoder_knows_a_kitchen_it_has_not_seen(
    demo: ClipEncoder, tmp_path: Path
) -> None:
    """Far above chance on 120 fresh scenes; the real figures are in bench/results."""
    (shard,) = shard_paths(tmp_path, 0, 0, 120)
    render_shard(shard)
    pool = load_pool([shard.path])
    pictures = demo.images(torch.from_numpy(pool.pictures).permute(0, 3, 1, 2))
    groups = scores.mean_by_group(scores.precision_by_query(demo, pictures, pool.true))
    for name, group in groups.items():
        assert group["map"] > group["chance"] + 0.5 * (1 - group["chance"]), name


def test_synonyms_are_nearer_than_antonyms(demo: ClipEncoder) -> None:
    kept = [same > other for *_, same, other in scores.meanings_kept(demo)]
    assert sum(kept) >= 0.9 * len(kept)


@pytest.mark.parametrize("name", RUNS)
def test_a_shipped_run_is_whole_and_says_what_it_is(name: str, demo: ClipEncoder) -> None:
    run = Run(SHIPPED / name)
    config = run.read_config()
    model = load_model(run.best)
    frames = model.arch.frames
    assert frames >= 240
    per_frame = pd.read_csv(run.per_frame)
    assert len(per_frame) == frames
    assert (per_frame["split"] == "val").sum() == frames // 4
    assert config["flags"]["epochs"] > config["flags"]["pixel_loss_warmup_epochs"]
    assert config["teacher"]["id"] == demo.id  # of the encoder beside it, not of an older one
    assert run.comparison.stat().st_size > 10_000
    metrics = json.loads(run.metrics.read_text())
    assert metrics["train"]["psnr"] > 28
    if name == "kitchen":
        t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
        with torch.no_grad():
            now = torch.nn.functional.normalize(model(t).embedding, dim=1)
        stored = np.load(run.predicted).astype(np.float32)
        assert stored.shape == (frames, 512)
        stored /= np.linalg.norm(stored, axis=1, keepdims=True)
        assert (now[[0, 2]].numpy() * stored[[0, -1]]).sum(1).min() > 0.999
