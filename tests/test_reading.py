"""What the app reads of a run: its comparison video, its map, its status, its estimate."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import nerv_clip
from nerv_clip import InputError, Run
from nerv_clip.cli import estimate, parse
from nerv_clip.evaluation.projection import Projection, project
from nerv_clip.progress import SilentProgress
from nerv_clip.runs.embedding_map import load_map, map_file
from nerv_clip.runs.run import TrainingStatus
from nerv_clip.video.comparison import read_layout, read_pairs, read_samples
from nerv_clip.video.writer import write_comparison
from tests.runs import flags
from tests.samples import moving_picture


def test_public_names_are_imported_lazily() -> None:
    for name in nerv_clip.__all__:
        assert not isinstance(getattr(nerv_clip, name), ModuleType), name
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = nerv_clip.nothing_such
    code = "import sys; from nerv_clip import find_runs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"  # a page that only reads runs does not wait for it


@pytest.mark.parametrize("size", [(48, 80), (33, 47)])
def test_comparison_pairs_are_read_by_frame_index(tmp_path: Path, size: tuple[int, int]) -> None:
    true = torch.from_numpy(moving_picture(40, *size)).permute(0, 3, 1, 2)
    path = tmp_path / "c.mp4"
    write_comparison(path, lambda chosen: ((true[i], 255 - true[i]) for i in chosen), 40, 25)
    layout = read_layout(path, *size)
    assert (layout.shown, layout.frames, layout.fps) == (size, 40, 25)
    found = list(read_pairs(path, [39, 0, 13, 14, 15, 27], *size))
    assert [pair.frame for pair in found] == [0, 13, 14, 15, 27, 39]
    for pair in found:
        expected = true[pair.frame].permute(1, 2, 0).numpy().astype(float)
        assert pair.true.shape == (*size, 3)
        error = np.abs(pair.true - expected).mean()
        assert error < 3
        assert np.abs(pair.drawn - (255 - expected)).mean() < 3
        other = true[(pair.frame + 3) % 40].permute(1, 2, 0).numpy().astype(float)
        assert np.abs(pair.true - other).mean() > 2 * error


@pytest.mark.parametrize(
    ("size", "shown"), [((2160, 2161), (1080, 1080)), ((90, 8191), (45, 4095))]
)
def test_comparison_of_large_frames_is_shrunk_whole(
    tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    true = torch.zeros(3, *size)
    true[:, :, size[1] // 2 :] = 1
    path = tmp_path / "c.mp4"
    write_comparison(path, lambda chosen: ((true, true) for _ in chosen), 1, 25)
    assert read_layout(path, *size).shown == shown
    (pair,) = read_pairs(path, [0], *size)
    assert pair.true.shape == (*shown, 3)
    assert pair.true.mean() == pytest.approx(127.5, abs=2)  # half black, half white


def test_coded_samples_decode_from_any_key_frame(tmp_path: Path) -> None:
    true = torch.from_numpy(moving_picture(30, 48, 80)).permute(0, 3, 1, 2)
    path = tmp_path / "c.mp4"
    write_comparison(path, lambda chosen: ((true[i], true[i]) for i in chosen), 30, 25, "mine")
    assert read_layout(path, 48, 80).checkpoint == "mine"
    samples, content = read_samples(path), path.read_bytes()
    assert samples.codec.startswith("avc1.")
    assert len(samples.offsets) == len(samples.sizes) == 30
    assert samples.keys[0] == 0
    assert max(np.diff([*samples.keys, 30])) <= 12
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = samples.description
    first, end = samples.keys[1], samples.keys[2]
    frames = []
    for i in range(first, end):  # as a browser does: from a key frame, and nothing else
        data = content[samples.offsets[i] : samples.offsets[i] + samples.sizes[i]]
        frames += decoder.decode(av.Packet(data))
    frames += decoder.decode(None)
    assert len(frames) == end - first
    for frame, pair in zip(frames, read_pairs(path, range(first, end), 48, 80), strict=True):
        shown = frame.to_ndarray(format="rgb24")
        scale = read_layout(path, 48, 80).scale
        assert np.abs(shown[: 48 * scale : scale, ::scale].astype(float) - pair.true).mean() < 2


def test_damaged_comparison_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"c\.mp4 cannot be read"):
        read_layout(tmp_path / "c.mp4", 48, 80)


def test_projection_places_predicted_by_true_embeddings() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 16), 20, 0)
    true = centres + 0.05 * rng.standard_normal(centres.shape)
    predicted = true + 0.02 * rng.standard_normal(centres.shape)
    flat = project([true, predicted], "PCA")
    unit = np.concatenate([true, predicted])
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    theirs = PCA(2).fit_transform(unit)
    np.testing.assert_allclose(np.abs(np.concatenate(flat)), np.abs(theirs), atol=1e-6)
    first = project([true, predicted], neighbours=10)
    again = project([true, predicted], neighbours=10)
    np.testing.assert_array_equal(first[0], again[0])
    groups = np.repeat(np.arange(3), 20)
    middles = np.stack([first[0][groups == g].mean(0) for g in range(3)])
    nearest = np.linalg.norm(first[1][:, None] - middles, axis=2).argmin(1)
    assert (nearest == groups).all()  # a predicted embedding lies by the true ones of its kind


def test_map_is_cached_until_the_embeddings_change(tmp_path: Path) -> None:
    run, pca = Run(tmp_path), Projection("PCA")
    rng = np.random.default_rng(0)
    for place in (run.true, run.predicted):
        np.save(place, rng.standard_normal((12, 8)))
    points = load_map(run, pca)
    path = map_file(run, pca)
    modified = path.stat().st_mtime_ns
    np.testing.assert_array_equal(load_map(run, pca), points)
    assert path.stat().st_mtime_ns == modified
    path.rename(run.map)  # as a run that ships
    assert map_file(run, pca) == run.map
    assert not path.exists()
    run.map.write_bytes(run.map.read_bytes()[:200])
    assert map_file(run, pca) == path
    np.save(run.true, rng.standard_normal((12, 8)))
    assert map_file(run, pca) != path
    assert not np.allclose(load_map(run, pca)[0], points[0])
    run.predicted.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"predicted\.npy is damaged"):
        load_map(run, pca)


def test_projection_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match="at least 4 points"):
        project([np.eye(3)], "PCA")
    with pytest.raises(InputError, match="neighbours"):
        project([np.eye(8)], neighbours=8)


def test_estimate_matches_the_training(video_file: Path, run: Path) -> None:
    argv = flags(
        video_file, "--predict_clip", "--clip_dim", "16", "--pixel_loss_warmup_epochs", "2"
    )
    found = estimate(parse([*argv, "--clip_model", "demo"]))
    assert (found.frames, found.height, found.width) == (12, 48, 80)
    assert (found.train_frames, found.held_out, found.steps) == (8, 4, 16)
    config = json.loads((run / "config.json").read_text())
    assert found.decoder_parameters == config["parameters"]["decoder"]
    assert found.head_parameters > 0
    size = (run / "model_best.pth").stat().st_size
    assert 4 * found.decoder_parameters == pytest.approx(size, rel=0.1)
    assert 0 < found.seconds < 60
    fixed = 3 * 12 * 48 * 80 + 16 * (found.decoder_parameters + found.head_parameters)
    twice = estimate(parse([*argv, "--clip_model", "demo", "-b", "4"]))
    kept = [estimated.memory_bytes - fixed for estimated in (found, twice)]
    weights = 4 * found.decoder_parameters  # kept for the way back, whatever the batch
    assert kept[1] - weights == pytest.approx(2 * (kept[0] - weights), rel=0.2)
    with pytest.raises(InputError, match="has only 12 frames"):
        estimate(parse([*argv, "--clip_model", "demo", "--vid_end", "13"]))
    bytes_ = estimate(parse([*argv, "--clip_model", "demo", "--bits", "8"])).checkpoint_bytes
    assert bytes_ == found.checkpoint_bytes // 4
    with pytest.raises(InputError, match="too small"):
        estimate(parse([*argv, "--modelsize", "0.0001"]))


def test_status_of_a_training_is_read_while_it_holds_the_lock(run: Path) -> None:
    trained = Run(run)
    assert not trained.in_training
    assert trained.read_status() is None
    assert not Run(Path("nowhere")).in_training
    status = TrainingStatus(pid=1, epoch=2, epochs=4, step=3, steps=9, psnr=21.5, seconds=0.5)
    with trained.locked():
        assert trained.in_training
        assert trained.read_status() is None
        trained.write_status(status)
        assert trained.read_status() == status
        with pytest.raises(InputError, match="another training"), Run(run).locked():
            pass
    assert not trained.in_training
    assert not trained.status.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_a_file_system_without_locks_is_named(
    number: int, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    lines: list[str] = []
    progress = SilentProgress()
    monkeypatch.setattr(progress, "message", lines.append)
    monkeypatch.setattr("fcntl.flock", refused)  # no file system here does this
    if number == errno.EIO:
        with pytest.raises(InputError, match="cannot write"), Run(run).locked(progress):
            pass
    else:
        with Run(run).locked(progress):
            (line,) = lines
        assert "has no locks" in line
        assert not Run(run).in_training
