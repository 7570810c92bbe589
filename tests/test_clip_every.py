"""A teacher that embeds one frame in K: what is trained, compared, searched and shown then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from nerv_clip import InputError, ModelConfig, Run, evaluate, load_video, split_frames
from nerv_clip.evaluation.projection import Projection
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.embedding_map import load_map
from nerv_clip.runs.inputs import embed
from nerv_clip.runs.run_training import RunTraining
from nerv_clip.search import load_run
from nerv_clip.search.fidelity import LabelledQuery, fidelity
from nerv_clip.similarity import ranks, unit
from nerv_clip.teacher.embeddings import embed_video, frames_embedded
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.data import TrainingData
from nerv_clip.training.losses import clip_loss
from nerv_clip.verification import gather, to_json, verify_evidence
from nerv_clip.verification.html_report import to_html
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import embedded_frames
from nerv_clip.video.video import Video
from tests.app_server import opened
from tests.runs import flags
from tests.samples import write_test_video
from train.train_nerv_clip import main

FRAMES, EVERY = 48, 4
SPLIT = "3_3_4"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_test_video(path, frames=FRAMES)
    return path


@pytest.fixture(scope="module")
def video(film: Path) -> Video:
    return load_video(film)


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return load_clip_encoder("demo")


@pytest.fixture(scope="module")
def trained(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with both heads whose teacher embeds one frame in `EVERY`."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        heads = ["--predict_clip", "--predict_dense", "--dense_tap", "1", "--clip_model", "demo"]
        some = ["--clip_every", f"{EVERY}", "--pixel_loss_warmup_epochs", "1"]
        main(flags(film, "--data_split", SPLIT, *heads, *some))
    return Run(folder / "output" / "run")


def chosen(run: Run) -> list[int]:
    return embedded_frames(run.read_config().split_frames(), EVERY)


@pytest.mark.parametrize("every", [1, 2, 5, 16, 100])
def test_every_split_of_every_shot_keeps_its_share_with_both_ends(every: int) -> None:
    shots = Shots(100, (0, 1, 30, 33))
    split = split_frames(100, "3_4_6", shots=shots)
    found = embedded_frames(split, every, shots)
    assert found == sorted(set(found))
    if every == 1:
        assert found == list(range(100))
    for own in shots.ranges():
        for name in {split[i] for i in own}:
            frames = [i for i in own if split[i] == name]
            kept = [i for i in frames if i in found]
            assert {frames[0], frames[-1]} <= set(kept)
            assert len(kept) == -(-(len(frames) - 1) // every) + 1
            gaps = np.diff([frames.index(i) for i in kept])
            assert gaps.max(initial=1) - gaps.min(initial=every) <= 1


def test_the_teacher_sees_only_the_chosen_frames(
    video: Video, encoder: ClipEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    images = encoder.images
    monkeypatch.setattr(encoder, "images", lambda x: (seen.append(len(x)), images(x))[1])
    some = embed_video(encoder, video, [3, 7, 40], cache_dir=tmp_path)
    assert sum(seen) == 3
    assert frames_embedded(some) == [3, 7, 40]
    again = embed_video(encoder, video, [3, 7, 40], cache_dir=tmp_path)
    assert sum(seen) == 3  # from the cache
    torch.testing.assert_close(again, some, equal_nan=True)
    whole = embed_video(encoder, video, cache_dir=tmp_path)
    torch.testing.assert_close(whole[[3, 7, 40]], some[[3, 7, 40]])
    embed_video(encoder, video, [5, 6], cache_dir=tmp_path)
    assert sum(seen) == 3 + FRAMES  # of all frames, rows are taken from the cache


def test_loss_is_the_mean_over_frames_with_an_embedding(video: Video) -> None:
    split = split_frames(FRAMES, SPLIT)
    true = torch.full((FRAMES, 8), torch.nan)
    known = embedded_frames(split, EVERY)
    generator = torch.Generator().manual_seed(0)
    true[known] = torch.randn(len(known), 8, generator=generator)
    data = TrainingData(video, split, true, torch.device("cpu"))
    predicted = torch.randn(FRAMES, 8, generator=generator, requires_grad=True)
    losses = []
    for start in range(0, len(data.train), 4):
        batch = data.train[start : start + 4]
        losses.append(clip_loss(predicted[batch], data.embeddings(batch), data.shares(batch)))
    mean = torch.stack(losses).mean()
    torch.testing.assert_close(mean, clip_loss(predicted[data.embedded], true[data.embedded]))
    mean.backward()
    moved = predicted.grad
    assert moved is not None
    assert torch.nonzero(moved.abs().sum(1)).flatten().tolist() == data.embedded
    before, after = data.around(data.train)
    for index, first, last in zip(data.train, before, after, strict=True):
        assert first <= index < last or first == index == last == data.train[-1]
        assert {first, last} <= set(data.embedded)
        assert not set(range(first + 1, last)) & set(data.embedded)


def test_frames_without_an_embedding_are_empty_in_the_files(trained: Run) -> None:
    known = chosen(trained)
    true = np.load(trained.true)
    assert np.flatnonzero(~np.isnan(true).any(1)).tolist() == known
    table = pd.read_csv(trained.per_frame)
    for column in ("clip_similarity", "teacher_similarity", "dense_similarity"):
        assert table["frame"][table[column].notna()].tolist() == known
    assert table["psnr"].notna().all()
    baselines = np.load(trained.baselines)
    for name in ("reconstruction", "perturbed"):
        assert np.flatnonzero(~np.isnan(baselines[name]).any(1)).tolist() == known
    metrics = trained.read_metrics()
    assert metrics.val.clip_similarity is not None
    assert metrics.train.dense_similarity is not None


def test_an_evaluation_of_the_run_embeds_the_same_frames(trained: Run) -> None:
    before = np.load(trained.true)
    found = evaluate(trained.path)
    np.testing.assert_array_equal(np.load(trained.true), before)
    kept = found.per_frame["clip_similarity"].notna()
    assert found.per_frame["frame"][kept].tolist() == chosen(trained)


def test_verification_compares_frames_with_an_embedding(trained: Run) -> None:
    evidence = gather(trained.best)
    found = verify_evidence(evidence)
    known = chosen(trained)
    assert evidence.indices("all") == known
    assert found.splits["all"].frames == len(known)
    assert np.isfinite(found.shifts).all()
    column = found.per_frame["cosine: prediction"]
    assert found.per_frame["frame"][column.notna()].tolist() == known
    json.dumps(to_json(found), allow_nan=False)
    assert f"{FRAMES - len(known)} frames that the teacher did not embed" in to_html(found)


def test_ranks_leave_out_true_rows_that_are_missing() -> None:
    rng = np.random.default_rng(0)
    true, predicted = (unit(rng.normal(size=(30, 6))) for _ in range(2))
    kept = np.arange(0, 30, 3)
    missing = np.full_like(true, np.nan)
    missing[kept] = true[kept]
    found = ranks(predicted, missing, np.arange(30))
    alone = ranks(predicted[kept], true[kept], np.arange(10))
    for name in ("r1", "r5", "rank", "reciprocal"):
        values = getattr(found, name)
        np.testing.assert_allclose(values[kept], getattr(alone, name))
        assert np.isnan(np.delete(values, kept)).all()


def test_search_names_the_true_relevancy_only_where_there_is_one(trained: Run) -> None:
    run = load_run(trained.path)
    known = chosen(trained)
    texts = ("a purple kettle", "a red mug", "at night", "a hand", "a mug -kettle")
    answers = [run.search(text, top=20) for text in texts]
    for answer in answers:
        assert answer.true_relevancy is not None
        assert np.flatnonzero(~np.isnan(answer.true_relevancy)).tolist() == known
    moments = [moment for answer in answers for moment in answer.moments]
    assert {m.frame in known for m in moments} == {True, False}
    for moment in moments:
        assert (moment.true_relevancy is None) == (moment.frame not in known)


def test_true_relevancy_does_not_spread_to_other_frames_with_an_embedding(trained: Run) -> None:
    run, known = load_run(trained.path), chosen(trained)
    query, gaps = run.query_encoder.encode_text("a purple kettle"), np.diff(known)
    mark = next(known[n] for n in range(1, len(gaps)) if gaps[n - 1 : n + 1].min() > 4)
    true = np.full((FRAMES, query.vectors.shape[1]), np.nan)
    true[known] = unit(np.random.default_rng(0).normal(size=(len(known), true.shape[1])))
    true[mark] = query.vectors[0]
    run.true = true.astype(np.float16)
    scores = run.true_scores(query)
    assert scores is not None
    assert np.nanargmax(scores.relevancy) == mark
    others = scores.relevancy[[i for i in known if i != mark]]
    assert others.max() < scores.relevancy[mark] - 0.2


def test_fidelity_measures_frames_with_an_embedding(trained: Run) -> None:
    run, known = load_run(trained.path), chosen(trained)
    truth = np.arange(FRAMES) > FRAMES // 2
    table = fidelity(run, [LabelledQuery("a purple kettle", truth)])
    before = table.set_index(["index", "frames"])
    assert np.isfinite(before["shortfall"]).all()
    index = np.array(run.index(1))
    others = np.setdiff1d(np.arange(FRAMES), known)
    index[others] = np.roll(index[others], 7, 0)  # which are not compared
    run._indexes[1] = index
    again = fidelity(run, [LabelledQuery("a purple kettle", truth)]).set_index(["index", "frames"])
    pd.testing.assert_frame_equal(before, again)


def test_map_has_no_true_point_without_an_embedding(trained: Run) -> None:
    true, predicted = load_map(trained, Projection("PCA"))
    assert np.isfinite(predicted).all()
    assert np.flatnonzero(np.isfinite(true).all(1)).tolist() == chosen(trained)
    again, _ = load_map(trained, Projection("PCA"))  # from the cache
    np.testing.assert_array_equal(again, true)


@pytest.mark.parametrize("page", ["overview", "frames", "semantics", "search", "verify"])
def test_pages_show_such_a_run(trained: Run, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, trained.path.parent, page)
    if page == "search":
        app.text_area[0].input("a purple kettle\nat night").run()
        assert len(app.get("plotly_chart")) == 1
    assert not app.exception
    assert not app.error
    if page == "overview":
        assert f"on one frame in {EVERY}" in app.caption[0].value


def test_segments_and_shots_train_on_their_embedded_frames(film: Path, tmp_path: Path) -> None:
    cuts = tmp_path / "cuts.txt"
    cuts.write_text("0\n20\n")
    heads = ["--predict_clip", "--predict_dense", "--dense_tap", "1", "--clip_model", "demo"]
    some = ["--clip_every", "6", "--shots", str(cuts), "--modelsize", "0.25"]
    main(flags(film, "--data_split", SPLIT, *heads, *some, "--pixel_loss_warmup_epochs", "1"))
    run = Run("output/run")
    config = run.read_config()
    assert len(config.architecture.segments) == 2
    known = embedded_frames(config.split_frames(), 6, config.video.cuts)
    table = run.read_per_frame()
    train = [i for i in known if table["split"][i] == "train"]
    for column, least in (("clip_similarity", 0.4), ("dense_similarity", 0.05)):
        assert table["frame"][table[column].notna()].tolist() == known
        assert table[column][train].min() > least  # 0 by chance
    assert verify_evidence(gather(run.best)).splits["all"].frames == len(known)


def test_other_frames_cannot_replace_those_of_a_run(trained: Run, film: Path) -> None:
    before = np.load(trained.true)
    cuts = trained.path.parent / "cuts.txt"
    cuts.write_text("0\n20\n")
    paths = ["--data_path", str(film), "--outf", str(trained.path), "--eval_only"]
    for flag, value in (("clip_every", "1"), ("shots", str(cuts))):
        with pytest.raises(InputError, match=f"other values of `{flag}`"):
            main([*paths, f"--{flag}", value])
    np.testing.assert_array_equal(np.load(trained.true), before)


def test_a_segment_needs_an_embedded_train_frame(video: Video, encoder: ClipEncoder) -> None:
    split = split_frames(FRAMES, SPLIT)
    model = ModelConfig(predict_clip=True, modelsize=0.5, segment_frames=16)
    config = TrainConfig(epochs=2, pixel_loss_warmup_epochs=1, clip_every=40)
    inputs = embed(video, split, encoder, config.clip_every)
    with pytest.raises(InputError, match="for the network of the frames 16 to 31"):
        RunTraining(
            Run("output/segments"),
            inputs,
            model,
            config,
            split=SplitRecord(rule=SPLIT, shuffled=False),
        )
    assert not Path("output").exists()
