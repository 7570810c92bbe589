"""The dense head: an embedding at every place and time, learned from the teacher's maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nerv_clip import (
    InputError,
    ModelConfig,
    Run,
    TrainConfig,
    evaluate,
    load_model,
    load_video,
    split_frames,
)
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.heads import DenseHead
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve, solve_video
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.runs.inputs import Inputs, dense_inputs
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.dense_maps import map_video
from nerv_clip.teacher.embeddings import embed_video
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.segments import SegmentTraining
from nerv_clip.video.video import Video
from tests.runs import CLIP_FLAGS, train
from train.train_nerv_clip import main

MODEL = ModelConfig(
    modelsize=0.05, lower_width=4, predict_clip=True, predict_dense=True, clip_dim=16, dense_rank=8
)
GRID = Grid(4, 6)


@pytest.fixture(scope="module")
def dense(teacher: str) -> DenseTeacher:
    return DenseTeacher(load_clip_encoder(teacher))


@pytest.fixture(scope="module")
def video(video_file: Path) -> Video:
    return load_video(video_file, shots=(0, 6))


def network() -> NeRVClip:
    torch.manual_seed(0)
    arch = solve(MODEL, 12, 9, 48, 80)
    return NeRVClip(arch).eval()


def test_maps_of_a_video_are_computed_once_and_keep_what_the_basis_spans(
    dense: DenseTeacher, video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = map_video(dense, video, range(12), GRID, 16, cache_dir=tmp_path)
    few = map_video(dense, video, range(12), GRID, 8, cache_dir=tmp_path)
    assert whole.kept() == pytest.approx(1, abs=1e-3)
    assert 0.5 < few.kept() < 1
    torch.testing.assert_close(few.basis @ few.basis.T, torch.eye(8), atol=1e-5, rtol=0)
    true = dense.maps(video.read([3, 11]), GRID)
    again = torch.einsum("rd,brhw->bdhw", whole.basis, whole.read([3, 11]))
    torch.testing.assert_close(again, true, atol=2e-3, rtol=0)
    part = map_video(dense, video.part(6, 12), range(6), GRID, 16, cache_dir=tmp_path)
    assert len(part.frames) == 6
    ends = torch.einsum("rd,brhw->bdhw", part.basis, part.read([5]))
    torch.testing.assert_close(ends, true[1:], atol=2e-3, rtol=0)
    assert len(list(tmp_path.glob("*.npy"))) == 6
    monkeypatch.setattr(dense, "maps", None)  # a second computation would raise
    stored = map_video(dense, video, range(12), GRID, 8, cache_dir=tmp_path)
    first = stored.read([0])
    assert torch.equal(first, few.read([0]))
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    monkeypatch.undo()
    made = map_video(dense, video, range(12), GRID, 8, cache_dir=tmp_path)
    torch.testing.assert_close(made.read([0]), first)


def test_points_lie_where_the_cells_of_the_map_do() -> None:
    model = network()
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    maps = model.embed_map(t)
    assert maps.shape[:2] == (2, 16)
    torch.testing.assert_close(maps.norm(dim=1), torch.ones_like(maps[:, 0]))
    rows, columns = maps.shape[2:]
    height, width = model.arch.padded
    x = torch.tensor([(2 + 0.5) / columns * width / 80, 0.5 / columns * width / 80])
    y = torch.tensor([(1 + 0.5) / rows * height / 48, 0.5 / rows * height / 48])
    found = model.embed_at(x, y, t)
    torch.testing.assert_close(found, torch.stack([maps[0, :, 1, 2], maps[1, :, 0, 0]]))
    one = torch.ones(1)
    assert model.embed_at(one, 0 * one, t[:1]).shape == (1, 16)  # the corners belong to the frame
    for place in (-0.01, 1.01, float("nan")):
        with pytest.raises(InputError, match="give numbers from 0 to 1"):
            model.embed_at(place * one, one, t[:1])


def test_between_train_frames_the_map_is_made_of_its_neighbours() -> None:
    model = network()
    train = model.train_times
    ends = model.embed_map(train[2:4])
    shown = model.embed_map(train[2:4].mean()[None])[0]
    assert not torch.equal(ends[0], ends[1])
    blend = torch.nn.functional.normalize(ends.mean(0), dim=0)  # an untrained motion is 0
    assert torch.cosine_similarity(shown, blend, dim=0).min() > 0.99
    both = model.embed_map(torch.stack([train[2], train[2:4].mean()]))
    torch.testing.assert_close(both, torch.stack([ends[0], shown]))
    x, y = torch.tensor([0.37, 0.37]), torch.tensor([0.61, 0.61])
    pair = model.embed_at(x, y, torch.stack([train[2], train[2:4].mean()]))
    torch.testing.assert_close(pair[:1], model.embed_at(x[:1], y[:1], train[2:3]))


def test_a_network_without_a_dense_head_has_no_map(trained_once: Path) -> None:
    model = load_model(trained_once / "model_best.pth")
    with pytest.raises(TypeError, match="no dense head"):
        model.embed_map(torch.zeros(1, dtype=torch.float64))
    zero = torch.zeros(1)
    with pytest.raises(TypeError, match="no dense head"):
        model.embed_at(zero, zero, zero.double())


def test_coefficients_have_the_cosines_of_their_embeddings() -> None:
    head = DenseHead(width=3, rank=8, dim=16)
    head.basis.data.copy_(torch.linalg.qr(torch.randn(16, 8)).Q.T)
    a, b = torch.randn(2, 1, 8, 2, 3)
    cosine = torch.cosine_similarity(head.expand(a), head.expand(b), dim=1)
    torch.testing.assert_close(cosine, torch.cosine_similarity(a, b, dim=1))


def test_each_segment_learns_its_maps_with_its_own_basis(
    dense: DenseTeacher, video: Video, tmp_path: Path
) -> None:
    split = split_frames(12, "2_2_3", shots=video.shots)
    inputs = Inputs(video, split, dense.encoder, embed_video(dense.encoder, video))
    model = replace(MODEL, modelsize=0.3)
    arch = solve_video(model, video.shots, [i for i in range(12) if split[i] == "train"], 48, 80)
    assert len(arch.segments) == 2
    maps = dense_inputs(inputs, arch)
    assert maps is not None
    assert not torch.equal(maps[0].basis, maps[1].basis)
    config = TrainConfig(
        epochs=20, batch=1, pixel_loss_warmup_epochs=2, loss="L2", dense_loss_weight=1
    )
    torch.manual_seed(0)
    networks = build_video_network(arch, split, bases=[each.basis for each in maps])
    training = SegmentTraining(networks, video, split, config, inputs.true, dense=maps)
    losses = [result.losses["dense"] for result in training.fit()]
    assert losses[:2] == [None] * 2
    trained = [loss for loss in losses if loss is not None]
    assert trained[-1] < 0.5 * trained[0]

    path = tmp_path / "model.pth"
    export_model(training.averaged(), path, {}, 8)
    loaded = load_model(path)
    assert similarity(loaded, maps[0].basis, maps[0].read([0]), 0.0) > 0.5
    assert similarity(loaded, maps[1].basis, maps[1].read([5]), 1.0) > 0.5


def similarity(model: VideoNetwork, basis: torch.Tensor, true: torch.Tensor, time: float) -> float:
    """Mean cosine similarity of the predicted and the true map of a frame."""
    with torch.no_grad():
        predicted = model.embed_map(torch.tensor([time], dtype=torch.float64))
    target = torch.einsum("rd,brhw->bdhw", basis, true)
    return torch.cosine_similarity(predicted, target, dim=1).mean().item()


def test_a_run_with_a_dense_head_is_trained_and_loaded(video_file: Path, teacher: str) -> None:
    dense = ["--predict_dense", "--dense_tap", "0", "--dense_rank", "4"]
    dense += ["-e", "16", "--eval_freq", "16", "--pixel_loss_warmup_epochs", "1"]
    run = train(video_file, *CLIP_FLAGS, "--clip_model", teacher, *dense)
    model = load_model(run / "model_best.pth")
    network = model.arch.first
    assert (network.dense_dim, network.dense_rank, network.dense_tap) == (16, 4, 0)
    assert model.embed_map(torch.zeros(1, dtype=torch.float64)).shape == (1, 16, *network.grid)
    found, sizes = Run(run).read_metrics(), Run(run).read_config().parameters
    assert sizes.dense_head == sum(p.numel() for p in model.networks[0].dense_head.parameters())
    table = Run(run).read_per_frame()
    assert table["dense_similarity"].mean() == pytest.approx(found.all.dense_similarity)
    assert found.train.dense_similarity is not None
    assert found.train.dense_similarity > 0.3  # random vectors: 0 ± .25
    before = table["dense_similarity"].tolist()
    assert evaluate(run).per_frame["dense_similarity"].tolist() == pytest.approx(before)
    main(["--data_path", str(video_file), "--outf", "run", "--eval_only"])
    assert Run(run).read_metrics().val == found.val
