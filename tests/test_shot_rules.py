"""Nothing crosses a cut: what is computed on a film is what is computed on each of its shots."""

from __future__ import annotations

import operator
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nerv_clip import Metrics, Run, load_video, split_frames
from nerv_clip.evaluation.evaluate import evaluate_checkpoint, shot_metrics
from nerv_clip.evaluation.interpolation import alone, blend_weights, interpolated, nearest
from nerv_clip.evaluation.results import COLUMNS, SPLITS
from nerv_clip.metrics import psnr
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.runs.config import ShotRecord
from nerv_clip.search import LabelledQuery, Span, fidelity, load_run, spans
from nerv_clip.search.absence import lasting
from nerv_clip.search.fidelity import indexes_of
from nerv_clip.search.index import grid_times
from nerv_clip.search.relevancy import THRESHOLD, EncodedQuery
from nerv_clip.similarity import Array, cosine, unit
from nerv_clip.verification import Evidence, summary, to_html, verify_evidence
from nerv_clip.verification.baselines import LINEAR, NEAREST, SPHERICAL
from nerv_clip.verification.statistics import local_deviations
from nerv_clip.verification.tables import (
    _nearest,
    _process,
    head_bytes,
    read_by_cubic,
    read_by_process,
    read_by_slerp,
    tables,
    thinned,
)
from nerv_clip.verification.verdict import EQUIVALENT, UNDECIDABLE
from nerv_clip.verification.verify import held_out_test
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import Split, train_indices
from tests.app_server import ROOT, opened
from tests.runs import CLIP_FLAGS, train
from tests.test_statistics import noise
from tests.test_verification import FRAMES, changing, evidence

DIM = 4
SHIPPED = ROOT / "checkpoints"


class Film(NamedTuple):
    """A film with a split, and unit embeddings (T, DIM) of its frames."""

    shots: Shots
    split: list[Split]
    true: Array

    @property
    def train(self) -> list[int]:
        return train_indices(self.split)

    def parts(self) -> list[Film]:
        """Each shot as a film of its own."""
        return [
            Film(Shots(len(own)), self.split[own.start : own.stop], self.true[own.start : own.stop])
            for own in self.shots.ranges()
        ]


@st.composite
def films(draw: st.DrawFn, longest: int = 24) -> Film:
    """Films of one to six shots of one frame or more, by any rule of the split."""
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=6))
    shots = Shots(sum(lengths), (0, *np.cumsum(lengths[:-1]).tolist()))
    rule = draw(st.sampled_from(["1_1_1", "1_1_2", "3_3_4", "1_2_5", "1_1_30"]))
    split = split_frames(shots.frames, rule, draw(st.booleans()), shots)
    return Film(shots, split, noise(shots.frames, DIM, draw(st.integers(0, 99)), 0.5))


def assert_shot_by_shot(film: Film, read: Callable[[Film], Array], atol: float = 0.0) -> None:
    """What is read of a film is what is read of its shots, one after another."""
    expected = np.concatenate([read(part) for part in film.parts()])
    np.testing.assert_allclose(read(film), expected, rtol=0, atol=atol)


@given(films())
def test_neighbours_are_in_the_same_shot(film: Film) -> None:
    assert_shot_by_shot(film, lambda f: nearest(f.true, f.train, f.shots))
    for spherical in (False, True):
        assert_shot_by_shot(
            film, lambda f, s=spherical: interpolated(f.true, f.train, f.shots, spherical=s)
        )
    lone = alone(film.train, film.shots)
    for index, name in enumerate(film.split):  # only a train frame may have no neighbour
        found = blend_weights(index, film.train, film.shots)
        assert bool(found) == (index not in lone)
        assert name == "train" or found
        assert {film.shots.of(i) for i, _ in found} <= {film.shots.of(index)}
        assert sum(weight for _, weight in found) == pytest.approx(1 if found else 0)


@given(films())
def test_tables_are_read_in_the_same_shot(film: Film) -> None:
    def at(f: Film) -> NDArray[np.intp]:
        return np.array(f.train, dtype=np.intp)

    assert_shot_by_shot(
        film, lambda f: read_by_cubic(f.true[at(f)], at(f), len(f.true), f.shots), 1e-12
    )
    assert_shot_by_shot(
        film, lambda f: read_by_slerp(f.true[at(f)], f.true, f.train, f.shots), 1e-12
    )

    def by_process(f: Film) -> Array:
        """With one setting: all shots of a film share the best one."""
        times = np.arange(len(f.true))
        near = _nearest(times, at(f), f.shots, leave_out=False)
        return _process(times, at(f), f.true[at(f)], near, ("Matérn 3/2", 5.0, 0.01))

    assert_shot_by_shot(film, by_process, 1e-9)


@given(films())
def test_a_table_has_rows_of_every_shot(film: Film) -> None:
    for step, at in enumerate(thinned(film.train, film.shots), start=1):
        own = [list(film.shots.within(own.start, film.train)) for own in film.shots.ranges()]
        assert at.tolist() == [i for frames in own for i in frames[::step]]
        if step > 4:
            break


@settings(max_examples=20)
@given(films(longest=8))
def test_a_process_gives_the_only_row_of_a_shot(film: Film) -> None:
    at = np.array(film.train, dtype=np.intp)
    found = read_by_process(film.true[at], at, len(film.true), film.shots)
    assert np.isfinite(found).all()
    for index in alone(film.train, film.shots):
        own = film.shots.span(film.shots.of(index))
        np.testing.assert_allclose(found[own.start : own.stop], film.true[[index] * len(own)])


def test_a_table_reads_a_shot_whatever_the_others_show() -> None:
    shots = Shots(60, (0, 25, 26, 30))
    true = noise(60, 24, 0)
    other = true.copy()
    other[25:] = noise(35, 24, 1)
    train = train_indices(split_frames(60, "1_1_2", shots=shots))
    for (name, table), (_, changed) in zip(
        tables(true, train, 900, shots), tables(other, train, 900, shots), strict=True
    ):
        assert table is not None, name
        assert changed is not None, name
        assert table.size <= 900
        np.testing.assert_allclose(np.linalg.norm(table.values, axis=1), 1)
        if "PCHIP" in name:  # the others choose components and kernel on the whole film
            np.testing.assert_array_equal(table.values[:25], changed.values[:25])
    assert all(table is None for _, table in tables(true, train, 60, shots))  # no row a shot fits


@given(films(longest=60), st.integers(1, 5))
def test_local_deviations_are_from_neighbours_in_the_same_shot(film: Film, gap: int) -> None:
    """Up to their lengths, which are shortened to the median of the film."""

    def directions(f: Film) -> Array:
        frames = [i for i, name in enumerate(f.split) if name == "val"]
        return unit(local_deviations(f.true, frames, gap, f.shots))

    assert_shot_by_shot(film, directions, 1e-9)


@given(films(), st.integers(1, 5), st.floats(0.3, 0.9), st.randoms(use_true_random=False))
def test_a_moment_lies_in_one_shot(film: Film, grid: int, edge: float, random: object) -> None:
    del random
    count, shots = shots_points(film.shots, grid), film.shots
    rng = np.random.default_rng(count)
    scores = rng.random(count)
    scores[rng.integers(count)] = 1  # above the threshold
    found = spans(scores, 0.95, edge, grid, shots)
    places = shots.settle(np.arange(count) / grid)
    for span in found:
        own = {shots.of(int(places[point])) for point in span}
        assert len(own) == 1
        assert span.start <= span.peak <= span.end
    expected = []
    for own in shots.ranges():  # the points that belong to the shot
        points = np.flatnonzero((places >= own.start) & (places < own.stop))
        if scores[points].max() > 0.95:
            part = spans(scores[points], 0.95, edge, grid)
            expected += [Span(*(int(points[0]) + point for point in span)) for span in part]
    assert sorted(found) == sorted(expected)


@given(films(), st.integers(1, 5))
def test_scores_are_averaged_in_the_same_shot(film: Film, grid: int) -> None:
    shots = film.shots
    count = shots_points(shots, grid)
    curves = noise(count, DIM, grid, 0.5)
    own = np.array([shots.of(int(place)) for place in shots.settle(np.arange(count) / grid)])
    parts = [lasting(curves[own == shot], grid) for shot in range(len(shots))]
    found = lasting(curves, grid, shots)
    np.testing.assert_allclose(found, np.concatenate(parts), rtol=0, atol=1e-12)
    if grid == 1:
        parts = [lasting(curves[own.start : own.stop]) for own in shots.ranges()]
        np.testing.assert_allclose(found, np.concatenate(parts), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(lasting(curves, grid, Shots(shots.frames)), lasting(curves, grid))


@given(films(), st.integers(1, 9))
def test_long_shots_are_divided_evenly(film: Film, most: int) -> None:
    shots, divided = film.shots, film.shots.divided(most)
    assert shots.divided(0) == shots
    assert set(shots.firsts) <= set(divided.firsts)
    for shot in shots.ranges():
        lengths = [len(part) for part in divided.ranges() if part.start in shot]
        assert len(lengths) == -(-len(shot) // most)
        assert max(lengths) - min(lengths) <= 1


def test_a_shot_of_one_frame_does_not_match_what_its_neighbours_show() -> None:
    rng = np.random.default_rng(0)
    shots, shown = Shots(41, (0, 20, 21)), np.repeat([0, 1, 0], [20, 1, 20])
    unrelated = unit(rng.standard_normal((40, 64))).astype(np.float32)
    index = unit(np.eye(64)[shown] + 0.05 * rng.standard_normal((41, 64))).astype(np.float16)

    def clear(vector: NDArray[np.float32]) -> list[int]:
        """The shots with a clear match."""
        one = np.ones(1, np.float32)
        query = EncodedQuery("", "", vector[None], one, np.zeros(1, bool), unrelated, (None,))
        relevancy = query.scores(index, query.reference(index, 1, shots), 1, shots).relevancy
        return [i for i, own in enumerate(shots.ranges()) if relevancy[own].max() > THRESHOLD]

    first, second = np.eye(64, dtype=np.float32)[:2]
    assert clear(first) == [0, 2]
    assert clear(second) == [1]


def shots_points(shots: Shots, grid: int) -> int:
    """The number of points of a grid."""
    return len(grid_times(shots.frames, grid))


def test_a_run_of_points_ends_at_a_cut() -> None:
    scores = np.ones(9)
    assert spans(scores, 0.5, 0.5) == [Span(0, 0, 8)]
    assert sorted(spans(scores, 0.5, 0.5, shots=Shots(9, (0, 4)))) == [Span(0, 0, 3), Span(4, 4, 8)]
    fine = np.ones(17)  # the point half way between frames 3 and 4 is of the later shot
    found = sorted(spans(fine, 0.5, 0.5, 2, Shots(9, (0, 4))))
    assert found == [Span(0, 0, 6), Span(7, 7, 16)]
    dip = np.array([1, 1, 0, 1, 1.0])  # a bridge does not join two shots
    assert spans(dip, 0.5, 0.5) == [Span(0, 0, 4)]
    assert spans(dip, 0.5, 0.5, shots=Shots(5, (0, 3))) == [Span(0, 0, 1), Span(3, 3, 4)]


def test_moments_of_a_search_have_times_of_their_shot() -> None:
    run = load_run(SHIPPED / "kitchen")
    found = run.search("a yellow mug").moments[0]
    cut = (round(299 * found.start) + found.frame) // 2  # inside of a moment
    assert 299 * found.start + 1 < cut < found.frame
    run.shots = Shots(300, (0, cut, cut + 1))
    run.timestamps[cut:] += 10  # a pause before the second shot
    answer = run.search("a yellow mug", top=20)
    assert {cut - 1, cut} <= {round(299 * m.start) for m in answer.moments} | {
        round(299 * m.end) for m in answer.moments
    }
    for moment in answer.moments:
        (own,) = {run.shots.of(round(299 * time)) for time in (moment.start, moment.end)}
        frames = run.shots.span(own)
        assert moment.frame in frames
        for time, seconds in (
            (moment.start, moment.start_seconds),
            (moment.peak, moment.peak_seconds),
            (moment.end, moment.end_seconds),
        ):
            assert frames.start <= round(299 * time, 6) <= frames.stop - 1
            assert run.timestamps[frames.start] <= seconds <= run.timestamps[frames.stop - 1]
    between = (cut - 1 + np.array([0, 0.25, 0.5, 0.75, 1])) / 299
    expected = run.timestamps[[cut - 1, cut - 1, cut, cut, cut]]
    assert run.seconds(between) == pytest.approx(expected)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory, video_file: Path, teacher: str) -> Path:
    """A small trained run of twelve frames with a tiny CLIP, split 2_2_3."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return (folder / train(video_file, *CLIP_FLAGS, "--clip_model", teacher)).resolve()


def test_fidelity_leaves_out_what_cannot_be_interpolated(small_run: Path) -> None:
    run = load_run(small_run)
    whole = fidelity(run, [LabelledQuery("a red mug", np.arange(12) < 6)])
    run.shots = Shots(12, (0, 6, 7))  # frame 6 is a train frame and a shot
    table = fidelity(run, [LabelledQuery("a red mug", np.arange(12) < 6)])
    assert table.shape == whole.shape
    numbers = table.set_index(["index", "frames"]).drop(columns="query")
    assert numbers.drop(columns="iou").notna().all(axis=None)
    between = indexes_of(run)["interpolated"].astype(np.float64)
    assert run.true is not None
    np.testing.assert_allclose(between[5], run.true[4].astype(np.float64), atol=1e-3)
    np.testing.assert_allclose(between[8], (run.true[7] + run.true[9]).astype(float) / 2, atol=1e-2)
    np.testing.assert_allclose(between[6], run.true[6].astype(np.float64), atol=1e-3)
    only = fidelity(run, [LabelledQuery("a red mug", np.arange(12) == 6)])
    assert only[["ap", "iou"]].isna().all(axis=None)


@st.composite
def tables_of_frames(draw: st.DrawFn) -> tuple[Film, pd.DataFrame]:
    """A film with a table of its frames, as an evaluation writes it."""
    film = draw(films())
    rng = np.random.default_rng(len(film.split))
    table = pd.DataFrame({name: rng.random(len(film.split)) for name in COLUMNS})
    table["split"], table["frame"] = film.split, np.arange(len(film.split))
    table["ms_ssim"] = np.nan  # not measured
    return film, table


@given(tables_of_frames())
def test_metrics_of_the_shots_make_those_of_the_video(film: tuple[Film, pd.DataFrame]) -> None:
    (shots, *_), table = film
    parts = [shot_metrics(table[own.start : own.stop]) for own in shots.ranges()]
    assert [(part.first, part.last) for part in parts] == [(r[0], r[-1]) for r in shots.ranges()]
    whole = shot_metrics(table)
    for split in SPLITS:
        assert sum(part.frames[split] for part in parts) == whole.frames[split]
        for name in ("psnr", "ms_ssim", "clip_similarity", "teacher_similarity", "blend_psnr"):
            own = [(getattr(getattr(p, split), name), p.frames[split]) for p in parts]
            measured = [(value, count) for value, count in own if value is not None]
            total = getattr(getattr(whole, split), name)
            assert (total is None) == (not measured)
            if measured:
                values, counts = zip(*measured, strict=True)
                assert np.average(values, weights=counts) == pytest.approx(total)


def test_an_evaluation_scores_each_shot(small_run: Path, video_file: Path) -> None:
    video = load_video(video_file)
    video.shots = Shots(12, (0, 5, 6))
    split = split_frames(12, "2_2_3", shots=video.shots)  # frame 5 is alone in its shot
    found = evaluate_checkpoint(small_run / "model_best.pth", video, split)
    assert [(s.first, s.last) for s in found.metrics.shots] == [(0, 4), (5, 5), (6, 11)]
    alone_in_shot = found.metrics.shots[1]
    assert alone_in_shot.frames == {"all": 1, "train": 1, "val": 0}
    assert alone_in_shot.train.psnr == pytest.approx(found.per_frame["psnr"][5])
    assert alone_in_shot.val.psnr is None
    assert np.isnan(found.per_frame["blend_psnr"][5])
    frames = video.read(range(12)).float() / 255
    before, after = psnr(frames[1:2], frames[2:3]), psnr(frames[[1, 3]].mean(0)[None], frames[2:3])
    assert found.per_frame["blend_psnr"][2] == pytest.approx(after.item())
    assert found.metrics.shots[0].val.blend_psnr == pytest.approx(after.item())
    video.shots = Shots(12, (0, 3))
    again = evaluate_checkpoint(small_run / "model_best.pth", video, split_frames(12, "2_2_3"))
    assert again.per_frame["blend_psnr"][2] == pytest.approx(before.item())
    content = found.metrics.to_json()
    assert "blend_psnr" not in content["shots"][0]["train"]
    assert Metrics.from_json(content) == found.metrics
    del content["shots"]
    assert Metrics.from_json(content).shots == ()
    assert found.metrics.flat().keys() == again.metrics.flat().keys()
    assert "\n" not in found.metrics.line("film")


def records(shots: Shots) -> tuple[ShotRecord, ...]:
    """The shots as ``config.json`` has them, at 25 frames a second."""
    return tuple(
        ShotRecord(first=own[0], last=own[-1], start=own[0] / 25, end=own[-1] / 25)
        for own in shots.ranges()
    )


def film_evidence(predicted: Array, true: Array, shots: Shots, rule: str = "3_3_4") -> Evidence:
    """Evidence of a film."""
    plain = evidence(predicted, true, rule)
    video = replace(plain.config.video, shots=records(shots))
    split = split_frames(len(true), rule, shots=shots)
    return replace(plain, config=replace(plain.config, video=video), split=split)


def film_of_two() -> Array:
    """Two shots of FRAMES frames that have nothing in common."""
    rng = np.random.default_rng(0)
    levels = [3 * unit(rng.standard_normal((1, 16))) for _ in range(2)]
    return unit(np.concatenate([level + changing(seed) for seed, level in enumerate(levels)]))


def test_verification_compares_all_rows_on_the_same_frames() -> None:
    """One train frame without another one in its shot deletes no row."""
    true = film_of_two()
    shots = Shots(2 * FRAMES, (0, FRAMES, FRAMES + 1))
    split = split_frames(2 * FRAMES, "3_3_4", shots=shots)
    predicted = unit(true + 0.1 * noise(2 * FRAMES, 16, 9, 0.0))
    found = verify_evidence(film_evidence(predicted, true, shots))
    assert found.splits["train"].frames == split.count("train") - 1
    assert found.splits["all"].frames == 2 * FRAMES - 1
    assert found.splits["val"].frames == split.count("val")
    for row in found.rows:
        for name, measures in row.measures.items():
            known = not row.missing or (row.kind == "table" and name == "val")
            assert (measures is not None) == known, (row.name, name)
    lone = found.per_frame.loc[FRAMES]
    for name in (NEAREST, LINEAR, SPHERICAL):
        assert np.isnan(lone[f"centred cosine: {name}"])
    assert lone["centred cosine: prediction"] > 0
    evidence = found.evidence
    budget = head_bytes(evidence.model, evidence.config.train.bits)
    for name, table in tables(true, evidence.train, budget, shots):
        assert table is not None
        expected = np.where(np.array(split) == "train", np.nan, cosine(table.values, true))
        np.testing.assert_allclose(found.per_frame[f"cosine: {name}"], expected)
    assert "not compared: 1 train frames" in summary(found)
    assert "(vertical lines: cuts)" in to_html(found)


def test_interpolation_inside_shots_is_what_a_network_is_compared_with() -> None:
    true = film_of_two()
    shots = Shots(2 * FRAMES, (0, FRAMES))
    frames = train_indices(split_frames(2 * FRAMES, "3_3_4", shots=shots))
    predicted = interpolated(true, frames, shots, spherical=True)
    found = verify_evidence(film_evidence(predicted, true, shots))
    assert found.verdict.label == EQUIVALENT
    assert found.test.effective > 8


def test_the_test_sees_no_change_across_a_cut() -> None:
    true = film_of_two()
    predicted = unit(true + 0.1 * noise(2 * FRAMES, 16, 9, 0.0))
    plain = film_evidence(predicted, true, Shots(2 * FRAMES, (0, FRAMES)))
    jump = np.where(np.arange(2 * FRAMES) < FRAMES, 0, 5)[:, None]
    moved = replace(plain, true=true + jump, predicted=plain.predicted - jump)
    assert held_out_test(moved) == pytest.approx(held_out_test(plain))
    assert held_out_test(plain).p < 0.05
    split: list[Split] = ["val"] * 2 * FRAMES
    split[:2] = split[-2:] = ["train", "train"]  # the gap between the shots' train frames is long
    assert held_out_test(replace(plain, split=split)).floor < 0.01


def test_a_film_of_lone_train_frames_is_undecidable() -> None:
    true = changing()[:40]
    shots = Shots(40, tuple(range(0, 40, 5)))
    found = verify_evidence(film_evidence(true, true, shots, "1_1_5"))
    assert found.verdict.label == UNDECIDABLE
    assert "train" not in found.splits
    stills = verify_evidence(film_evidence(true, true, Shots(40, tuple(range(40)))))
    assert stills.verdict.label == UNDECIDABLE
    assert "No shot has two train frames" in stills.verdict.sentence
    assert summary(stills)
    assert to_html(stills)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 12))
def test_pictures_of_a_film_show_its_shots(lengths: list[int], count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "app"))
        from run_view import frames_of_shots
    shots = Shots(sum(lengths), (0, *np.cumsum(lengths[:-1]).tolist()))
    found = frames_of_shots(shots, count)
    assert found == sorted(set(found))
    assert len(found) <= count
    assert set(found) <= set(range(shots.frames))
    shown = {shots.of(frame) for frame in found}
    if len(shots) <= count:
        assert len(shown) == len(shots)
    else:
        assert len(shown) == len({shots.of(int((i + 0.5) * shots.frames / count))
                                  for i in range(count)})  # fmt: skip
    counts = [sum(frame in own for frame in found) for own in shots.ranges()]
    if len(shots) <= count == len(found):  # one fewer would leave no shot's parts longer
        for length, pictures in zip(lengths, counts, strict=True):
            longest = max(map(operator.truediv, lengths, counts))
            assert pictures == 1 or length / (pictures - 1) >= longest
    whole = frames_of_shots(Shots(shots.frames), count)
    assert whole == sorted({int((i + 0.5) * shots.frames / count) for i in range(count)})


CURVES = {
    "overview": "CLIP similarity of each frame",
    "semantics": "Predicted vs. true: centred cosine",
    "search": "Relevancy over time",
    "compare": "PSNR of each frame",
}


@pytest.mark.parametrize("page", CURVES)
def test_pages_of_a_film_mark_its_cuts(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(shutil.copytree(SHIPPED / "kitchen", tmp_path / "runs" / "film"))
    shutil.copytree(SHIPPED / "kitchen_baseline", tmp_path / "runs" / "old")
    config, shots = run.read_config(), Shots(300, (0, 100, 101, 250))
    video = replace(config.video, shots=records(shots))
    arch = VideoArchitecture.of(replace(config.architecture.first, cuts=shots.firsts[1:]))
    run.write_json(run.config, replace(config, video=video, architecture=arch).to_json())
    figures = []
    monkeypatch.syspath_prepend(str(ROOT / "app"))
    monkeypatch.setattr("charts.show", lambda figure, *_: figures.append(figure))
    monkeypatch.setattr("charts.show_selectable", lambda figure, *_: figures.append(figure) or [])
    app = opened(monkeypatch, tmp_path / "runs", page, run="film", frame="100")
    if page == "search":
        app.text_area[0].set_value("a red mug").run()
    assert not app.exception
    assert not app.error
    *_, figure = [f for f in figures if f.layout.title.text == CURVES[page]]
    assert "cut" in [curve.name for curve in figure.data]
    paths = [shape.path for shape in figure.layout.shapes if shape.type == "path"]
    assert paths == ["M99.5,0V1M100.5,0V1M249.5,0V1"]
