"""Search: each part against hand-computed values, then a small trained run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

from nerv_clip import InputError, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.progress import SilentProgress, Task
from nerv_clip.search import (
    Answer,
    Hit,
    LabelledQuery,
    Library,
    Moment,
    Span,
    TrainedRun,
    as_edl,
    fidelity,
    load_run,
    spans,
    summary,
)
from nerv_clip.search.absence import (
    DEGREES,
    STRETCH,
    estimate_absence,
    lasting,
    not_shown,
)
from nerv_clip.search.index import cosines, grid_times
from nerv_clip.search.phrases import UNRELATED, form_of, load_phrases
from nerv_clip.search.query import TEMPLATES, Term, parse_query, reading, text_vector
from nerv_clip.search.relevancy import (
    EDGE,
    FALSE_MATCHES,
    TEMPERATURE,
    THRESHOLD,
    EncodedQuery,
    form_absence,
    image_query,
)
from nerv_clip.video.shots import Shots
from tests.runs import CLIP_FLAGS, train
from tests.samples import write_tiny_clip
from train.search import main

SHIPPED = Path(__file__).parents[1] / "checkpoints"


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("a red mug", [("a red mug", 1, False)]),
        ("mug -apple", [("mug", 1, False), ("apple", 1, True)]),
        ("a mug^2 +a red pan -green apple^.5", [("a mug", 2, False), ("a red pan", 1, False),
                                               ("green apple", 0.5, True)]),
        ("-apple mug-like +pan", [("apple mug-like", 1, True), ("pan", 1, False)]),
        ("x-ray  of a hand ", [("x-ray  of a hand", 1, False)]),
        ("mug - apple + pan", [("mug", 1, False), ("apple", 1, True), ("pan", 1, False)]),
        ("mug −apple – pan", [("mug", 1, False), ("apple", 1, True), ("pan", 1, True)]),
    ],
)  # fmt: skip
def test_query_is_parsed_into_terms(query: str, terms: list[tuple[Any, ...]]) -> None:
    assert parse_query(query) == tuple(Term(*term) for term in terms)


@pytest.mark.parametrize("query", ["", "   ", "-apple", "mug^x", "mug^", "mug^0", "^2", "mug -^2"])
def test_query_without_a_positive_term_is_refused(query: str) -> None:
    with pytest.raises(InputError):
        parse_query(query)


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("a red mug and a green apple", '"a red mug" and "a green apple"'),
        ("a black and white photo", '"a black and white photo"'),
        ("The lights are off, and the stove is on", '"The lights are off" and "the stove is on"'),
        ("a mug, a pan and a hand", '"a mug" and "a pan" and "a hand"'),
        ("a man without a hat", '"a man" and not "a hat"'),
        ("a kettle and no steam -apple^2", '"a kettle" and not "steam" and not "apple" (weight 2)'),
        ("no steam", '"no steam"'),
        ("without steam", '"without steam"'),
        ("a sign that says no smoking", '"a sign that says no smoking"'),
        ("a red mug at night", '"a red mug" and "at night"'),
        ("at night", '"at night"'),
        ("a mug − at night", '"a mug" and not "at night"'),
        ("a hand while at night without a mug", '"a hand" and "at night" and not "a mug"'),
    ],
)
def test_words_are_read_as_signs_where_that_is_safe(query: str, read: str) -> None:
    assert reading(parse_query(query, states=["at night"])) == read


def test_moments_end_at_a_lower_level_than_they_need_to_reach() -> None:
    curve = np.array([0, 0, 1, 3, 4, 3, 1, 0, 0, 0, 0, 0, 2.5, 2, 0, 0.0])
    assert spans(curve, 3.5, 1) == [Span(2, 4, 6)]
    assert spans(curve, 2, 2) == [Span(3, 4, 5), Span(12, 12, 13)]
    assert spans(curve, 4, 1) == spans(curve, 2, 2)  # nothing above: runs above half maximum
    dip = np.array([0, 4, 1, 0, 1, 3, 0, 0, 0, 0, 3.5])
    assert spans(dip, 2, 2) == [Span(1, 1, 5), Span(10, 10, 10)]  # three frames are bridged
    fine = np.repeat(dip, 4)
    assert [(s.start, s.end) for s in spans(fine, 2, 2, grid=4)] == [(4, 23), (40, 43)]
    assert spans(np.ones(5), 2, 1) == [Span(0, 0, 4)]
    assert spans(np.ones(1), 2, 1) == [Span(0, 0, 0)]


def test_lasting_is_a_mean_over_five_frames() -> None:
    curve = np.random.default_rng(0).random(9)
    expected = [curve[max(i - 2, 0) : i + 3].mean() for i in range(9)]
    np.testing.assert_allclose(lasting(curve), expected)
    fine = np.random.default_rng(0).random((41, 3))
    np.testing.assert_allclose(lasting(fine, grid=4)[20], fine[12:29].mean(0))


def test_absence_is_estimated_without_the_texts_that_are_shown() -> None:
    """The share of new absent texts above a level is the rate that it aims for."""
    rng = np.random.default_rng(0)
    for rate in (0.05, 0.01):
        exceeded = []
        for _ in range(300):
            absent, shown = 0.04 * rng.standard_t(DEGREES, 48), rng.normal(0.3, 0.05, 16)
            (level,) = estimate_absence(np.concatenate([absent, shown])[None]).level(rate)
            exceeded.append((0.04 * rng.standard_t(DEGREES, 1000) > level).mean())
        assert 0.6 * rate < np.mean(exceeded) < 1.6 * rate
    assert estimate_absence(np.array([[0.2]])) == ([pytest.approx(0.2)], [0])


def test_grid_times_are_evenly_spaced() -> None:
    assert grid_times(3, 4).tolist() == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]
    assert grid_times(1, 4).tolist() == [0]
    for grid in (0, 65):
        with pytest.raises(InputError, match="`grid`"):
            grid_times(3, grid)


def rows(count: int, dim: int, seed: int) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).standard_normal((count, dim))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_cosines_match_numpy_for_an_index_larger_than_a_chunk() -> None:
    index = rows(40_000, 8, 0).astype(np.float16)
    vectors = rows(3, 8, 1).astype(np.float32)
    expected = index.astype(np.float32) @ vectors.T
    np.testing.assert_allclose(cosines(index, vectors), expected, atol=1e-6)


def text_query(
    vectors: NDArray[np.float32], negated: list[bool], unrelated: NDArray[np.float32]
) -> EncodedQuery:
    weights, forms = np.ones(len(negated), np.float32), (None,) * len(negated)
    return EncodedQuery("", "", vectors, weights, np.array(negated), unrelated, forms)


def test_relevancy_is_half_at_the_level_of_absent_texts() -> None:
    index, unrelated = rows(60, 8, 0).astype(np.float16), rows(40, 8, 3).astype(np.float32)
    vectors = rows(2, 8, 1).astype(np.float32)
    products = index.astype(np.float64) @ np.concatenate([vectors, unrelated]).T
    above = products - products[:, 2:].mean(1, keepdims=True)
    absence = estimate_absence(lasting(above[:, 2:]).max(0)[None])
    first, second = above[:, 0], above[:, 1]
    query = text_query(vectors, [False, True], unrelated)
    for clips in (1, 20):
        level, edge = absence.level(FALSE_MATCHES / clips), absence.level(EDGE)
        least = lasting(np.minimum(first - level, edge - second))
        relevancy, cosine, low = query.scores(index, query.reference(index), clips=clips)
        np.testing.assert_allclose(relevancy, 1 / (1 + np.exp(-TEMPERATURE * least)), atol=2e-3)
        expected = 1 / (1 + np.exp(TEMPERATURE * (level - edge)))
        np.testing.assert_allclose(low, np.full(60, expected), atol=1e-3)
        np.testing.assert_allclose(cosine, (products[:, 0] - products[:, 1]) / 2, atol=1e-3)


def test_text_is_compared_with_unrelated_texts_of_its_form() -> None:
    """Those that the video shows, here the first ones, do not count."""
    rng = np.random.default_rng(0)
    unrelated = rows(40, 64, 1).astype(np.float32)
    form = (0.6 * unrelated + 0.1 * rng.standard_normal((40, 64))).astype(np.float32)
    frames = np.repeat(unrelated[:2], 50, axis=0) + 0.05 * rng.standard_normal((100, 64))
    index = (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float16)
    plain = text_query(unrelated[:1], [False], unrelated)
    reference = plain.reference(index)
    best = lasting(cosines(index, unrelated) - reference.background).max(0)
    (absent,) = reference.absent
    assert (absent == not_shown(best)).all()
    assert not absent[:2].any()
    above = cosines(index, form[absent]) - reference.background
    absence = estimate_absence(lasting(above).max(0)[None])
    assert form_absence(index, form, reference) == absence
    query = replace(plain, forms=(form,))
    level = np.log(1 / query.scores(index, reference).relevancy - 1) / -TEMPERATURE
    expected = lasting(cosines(index, plain.vectors) - reference.background)[:, 0]
    np.testing.assert_allclose(level, expected - absence.level(FALSE_MATCHES), atol=2e-3)


@pytest.mark.parametrize(("length", "cut"), [(60, True), (STRETCH, False)])
def test_a_film_that_shows_every_unrelated_text_in_turn_matches_all(length: int, cut: bool) -> None:
    """Each of ten scenes shows 4 of 40 texts. There is a cut after each, or none at all."""
    rng = np.random.default_rng(0)
    texts = rows(60, 512, 1).astype(np.float32)
    unrelated = texts[:40]
    scenes = np.repeat(unrelated.reshape(10, 4, 512).sum(1), length, axis=0)
    frames = scenes + 0.02 * rng.standard_normal(scenes.shape)
    index = (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float16)
    shots = Shots(len(index), tuple(range(0, len(index), length))) if cut else None
    reference = text_query(unrelated[:1], [False], unrelated).reference(index, 1, shots)

    shown = np.zeros((60, 10), bool)
    shown[np.arange(40), np.arange(40) // 4] = True
    matched = np.zeros_like(shown)  # more than two frames from the ends of a scene
    for at, vector in enumerate(texts):
        query = text_query(vector[None], [False], unrelated)
        relevancy = query.scores(index, reference, 1, shots).relevancy.reshape(10, length)
        matched[at] = relevancy[:, 2:-2].max(1) > THRESHOLD
    assert matched[shown].all()
    assert (matched & ~shown).any(1).mean() < 2 * FALSE_MATCHES


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a red mug", None),
        ("A hand holds a Red Mug on it", ("A hand holds ", " on it")),
        ("a red mugful", None),
        ("no a red mug with a pan", ("no ", " with a pan")),
    ],
)
def test_form_is_what_surrounds_an_unrelated_text(text: str, form: tuple[str, str] | None) -> None:
    assert form_of(text, ["a pan", "a red mug"]) == form


def test_terms_have_to_be_true_at_the_same_time() -> None:
    """A is shown in the first half of a video, B in the second."""
    rng = np.random.default_rng(0)
    basis, noise = np.eye(64)[:2], 0.05 * rng.standard_normal((100, 64))
    unrelated = rows(40, 64, 1).astype(np.float32)
    frames = np.repeat(basis, 50, axis=0) + noise
    index = (frames / np.linalg.norm(frames, axis=1, keepdims=True)).astype(np.float16)

    def best(*terms: int, negated: tuple[bool, ...]) -> float:
        query = text_query(basis[list(terms)].astype(np.float32), list(negated), unrelated)
        scores = query.scores(index, query.reference(index))
        return float(scores.relevancy.max())

    assert best(0, negated=(False,)) > THRESHOLD
    assert best(1, negated=(False,)) > THRESHOLD
    assert best(0, 1, negated=(False, False)) < THRESHOLD
    assert best(0, 1, negated=(False, True)) > THRESHOLD
    assert best(0, 0, negated=(False, True)) < THRESHOLD


def test_image_is_compared_with_the_pairs_of_the_video() -> None:
    index = rows(30, 8, 0).astype(np.float16)
    query = image_query("like", index[4])
    relevancy, cosine, edge = query.scores(index, query.reference(index))
    expected = index.astype(np.float64) @ index[4].astype(np.float64)
    np.testing.assert_allclose(cosine, expected, atol=2e-3)
    pairs = (index.astype(np.float64) @ index.astype(np.float64).T).mean()
    above = lasting(expected - pairs)
    np.testing.assert_allclose(relevancy, 1 / (1 + np.exp(-TEMPERATURE * above)), atol=5e-3)
    assert (edge == THRESHOLD).all()


def test_text_vector_is_the_mean_over_templates() -> None:
    demo = load_clip_encoder("demo")
    each = demo.texts([template.format("a red mug") for template in TEMPLATES]).numpy()
    mean = each.mean(0)
    np.testing.assert_allclose(
        text_vector(demo, "a red mug"), mean / np.linalg.norm(mean), atol=1e-6
    )


def test_phrases_are_read_from_the_encoder_s_folder(tmp_path: Path) -> None:
    assert "a red mug" in load_phrases(load_clip_encoder("demo")).unrelated
    plain = load_clip_encoder(write_tiny_clip(tmp_path / "plain"))
    assert load_phrases(plain) == (UNRELATED, ())
    (tmp_path / "plain" / "words.txt").write_text("mug\n")
    with pytest.raises(InputError, match=r"phrases\.json"):
        load_phrases(load_clip_encoder(f"local-dir:{tmp_path / 'plain'}"))
    phrases = tmp_path / "plain" / "phrases.json"
    phrases.write_text('{"canonical": ["two"], "unrelated": ["mug"]}')  # of an older version
    assert load_phrases(load_clip_encoder(f"local-dir:{tmp_path / 'plain'}")) == (("mug",), ())
    for content in ("{", '{"canonical": ["mug"]}', '{"unrelated": []}'):
        phrases.write_text(content)
        with pytest.raises(InputError, match="texts under 'unrelated'"):
            load_phrases(load_clip_encoder(f"local-dir:{tmp_path / 'plain'}"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("???", "names nothing"), ("the", "names nothing"), ("two", "names nothing"),
     ("🍎", "vocabulary"), ("a red mug 🍎", "vocabulary"), ("\u200b", "empty"), ("\u2800", "empty"),
     ("a red mug and the", "names nothing")],
)  # fmt: skip
def test_text_without_a_known_content_word_is_refused(text: str, reason: str) -> None:
    run = load_run(SHIPPED / "kitchen")
    with pytest.raises(InputError, match=reason):
        run.query_encoder.encode_text(text.replace(" and the", " +the"))


def test_search_of_the_shipped_kitchen_is_silent_about_what_it_does_not_show() -> None:
    run = load_run(SHIPPED / "kitchen")
    matched = {text: run.search(text).match for text in (
        "a purple kettle", "a yellow mug", "the lights are off and the stove is on",
        "a purple kettle without a mug", "a yellow mug at night",
        "a green mug", "a purple kettle and a green mug", "a green mug without an apple",
        "the lights are off and the lights are on",
    )}  # fmt: skip
    assert list(matched.values()) == [True] * 5 + [False] * 4


def moment(start: float, end: float, relevancy: float = 0.9) -> Moment:
    return Moment(0, 0, 0, start, start, end, 0, False, relevancy, 0.3, None)


def test_edl_lists_the_matches_at_the_video_s_frame_rate() -> None:
    hits = [
        Hit("a mug", "a mug", "t", Path("output/kitchen"), 25.0, True, moment(1.0, 2.96)),
        Hit("a mug", "a mug", "t", Path("output/kitchen"), 25.0, True, moment(3661.0, 3661.0)),
        Hit("a pan", "a pan", "t", Path("output/kitchen"), 25.0, False, moment(4, 5)),
    ]
    lines = as_edl(hits).splitlines()
    assert lines[:2] == ["TITLE: NeRV-CLIP", "FCM: NON-DROP FRAME"]
    events = [line for line in lines if line[:3].isdigit()]
    assert events == [
        "001  AX       V     C        00:00:01:00 00:00:03:00 01:00:00:00 01:00:02:00",
        "002  AX       V     C        01:01:01:00 01:01:01:01 01:00:02:00 01:00:02:01",
    ]
    assert "* FROM CLIP NAME: kitchen" in lines
    with pytest.raises(InputError, match="frame rate"):
        as_edl([hits[0], hits[1]._replace(fps=30.0)])
    late = Hit("a mug", "a mug", "t", Path("a"), 30000 / 1001, True, moment(600, 600))
    (event,) = [line for line in as_edl([late]).splitlines() if line[:3].isdigit()]
    assert event.split()[4] == "00:09:59:12"  # frame 17,982, which non-drop timecode counts


class RecordedTasks(SilentProgress):
    """Records the total and the label of each task."""

    def __init__(self) -> None:
        self.tasks: list[tuple[int | None, str]] = []

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[Task]:
        self.tasks.append((total, label))
        with super().task(label, total, unit, done) as task:
            yield task


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, video_file: Path, teacher: str) -> Path:
    """A small trained run whose teacher has random weights."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return (folder / train(video_file, *CLIP_FLAGS, "--clip_model", teacher)).resolve()


def test_search_finds_moments_of_a_run(run: Path) -> None:
    found = load_run(run)
    answer = found.search("a red mug", top=3, grid=4)
    assert len(answer.times) == len(answer.relevancy) == 45
    assert answer.true_relevancy is not None
    assert len(answer.true_relevancy) == 12
    best = answer.moments[0]
    assert best.relevancy == pytest.approx(answer.relevancy.max())
    assert best.start <= best.peak <= best.end
    assert best.peak_seconds == pytest.approx(best.peak * 11 / 25)
    assert best.frame == round(best.peak * 11)
    assert best.held_out == (best.frame % 3 == 2)
    at = answer.times.tolist().index(best.peak)
    assert best.cosine == pytest.approx(answer.cosine[at])
    assert best.true_relevancy == pytest.approx(answer.true_relevancy[best.frame])
    assert answer.threshold == THRESHOLD
    assert answer.match == (answer.relevancy.max() > THRESHOLD)
    assert answer.reading == '"a red mug"'
    # at the times of the frames, the index holds the embeddings that the run stores
    stored = np.load(run / "predicted.npy").astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    assert (found.index(4)[::4] * stored).sum(1).min() > 0.999


def test_index_is_cached_by_the_checkpoint_s_hash(run: Path, tmp_path: Path) -> None:
    progress = RecordedTasks()
    load_run(run, progress=progress).index(2)
    load_run(run, progress=progress).index(2)
    assert progress.tasks == [(23, "indexing")]
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    load_run(moved, progress=progress).index(2)
    assert len(progress.tasks) == 1  # the same checkpoint at another place
    (kept,) = (tmp_path / "cache" / "nerv_clip" / "indexes").iterdir()
    kept.write_bytes(b"damaged")
    assert load_run(run, progress=progress).index(2).shape == (23, 16)
    assert len(progress.tasks) == 2


def test_search_by_image_and_by_similar_moment(run: Path, tmp_path: Path) -> None:
    found = load_run(run)
    picture = tmp_path / "picture.png"
    Image.new("RGB", (80, 48), "red").save(picture)
    answer = found.search_image(picture)
    assert answer.question == "like picture.png"
    assert answer.moments
    with pytest.raises(InputError, match="cannot be read"):
        found.search_image(run / "config.json")
    pixels = np.zeros((48, 80, 3), np.uint8)
    pixels[:20, :30] = (255, 128, 0)
    upright, turned = Image.fromarray(pixels), Image.fromarray(np.rot90(pixels))
    upright.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone held upright: shown rotated by a quarter to the right
    turned.save(tmp_path / "turned.png", exif=exif)
    cosines = [found.search_image(tmp_path / f"{n}.png").cosine for n in ("upright", "turned")]
    np.testing.assert_allclose(*cosines, atol=1e-5)
    similar = found.search_like(0.1, 0.2)
    seconds = [(m.start_seconds, m.end_seconds) for m in similar.moments]
    assert all(end < 0.1 or start > 0.2 for start, end in seconds)
    with pytest.raises(InputError, match="the video runs from"):
        found.search_like(7, 8)


def test_library_ranks_runs_of_different_teachers_separately(
    run: Path, video_file: Path, tmp_path: Path
) -> None:
    other = write_tiny_clip(tmp_path / "other", seed=3)
    folder = tmp_path / "library"
    shutil.copytree(run, folder / "first")
    shutil.copytree(run, folder / "twin")
    shutil.copytree(train(video_file, *CLIP_FLAGS, "--clip_model", other), folder / "other")
    shutil.copytree(train(video_file, "-e", "1", "--overwrite"), folder / "pixels")
    library = Library([folder])
    assert sorted(len(runs) for runs in library.runs.values()) == [1, 2]
    assert len(library.skipped) == 1
    assert "pixels has no CLIP head" in library.skipped[0]
    assert {run.clips for runs in library.runs.values() if len(runs) == 2 for run in runs} == {2}
    first = library.runs[load_run(run).query_encoder.id][0]
    alone = load_run(run).search("a red mug")
    assert (first.search("a red mug").relevancy < alone.relevancy).all()  # a higher level
    hits, refused = library.search(lambda each: each.search("a red mug"), top=5)
    assert refused == []
    by_teacher = {teacher: [h for h in hits if h.teacher == teacher] for teacher in library.runs}
    for teacher, found in by_teacher.items():
        assert {hit.run for hit in found} <= {each.run.path for each in library.runs[teacher]}
        order = [(not hit.match, -hit.moment.relevancy) for hit in found]
        assert order == sorted(order)
    with pytest.raises(InputError, match=r"no run can be searched under .* has no CLIP head"):
        Library([folder / "pixels"])
    (other_teacher,) = {teacher for teacher, runs in library.runs.items() if len(runs) == 1}

    def refuse_other_teachers(each: TrainedRun) -> Answer:
        if each.query_encoder.id != other_teacher:
            raise InputError(f"{each.run.path} cannot be searched")
        return each.search("a red mug")

    hits, refused = library.search(refuse_other_teachers, top=5)
    assert {hit.teacher for hit in hits} == {other_teacher}
    assert len(refused) == 2
    with pytest.raises(InputError, match="no text to search for"):
        library.search(lambda each: each.search(" "), top=5)


def test_fidelity_matches_hand_computed_values(run: Path) -> None:
    found = load_run(run)
    truth = np.arange(12) < 4
    table = fidelity(found, [LabelledQuery("a red mug", truth), LabelledQuery("a pan", None)])
    assert set(table["index"]) == {
        "true", "predicted", "interpolated", "teacher on reconstruction",
    }  # fmt: skip
    assert len(table) == 2 * 4 * 3
    exact = table[table["index"] == "true"]
    assert exact["spearman"].to_numpy() == pytest.approx(1)
    assert exact["shortfall"].to_numpy() == pytest.approx(0)
    assert exact["overlap@5"].to_numpy() == pytest.approx(1)
    (row,) = table[
        (table["index"] == "predicted") & (table["frames"] == "all") & table["ap"].notna()
    ].to_dict("records")
    query = found.query_encoder.encode_text("a red mug")
    assert found.true is not None
    (predicted, _, edge), (true, _, _) = (
        query.scores(index, query.reference(index)) for index in (found.index(1), found.true)
    )
    assert row["spearman"] == pytest.approx(stats.spearmanr(predicted, true).statistic)
    best, true_best = set(np.argsort(-predicted)[:5]), set(np.argsort(-true)[:5])
    assert row["overlap@5"] == len(best & true_best) / 5
    shortfall = true[list(true_best)].mean() - true[list(best)].mean()
    assert row["shortfall"] == pytest.approx(shortfall / np.ptp(true), abs=1e-4)
    inside = np.zeros(12, bool)
    for span in spans(predicted, THRESHOLD, edge):
        inside[span.start : span.end + 1] = True
    assert row["iou"] == pytest.approx((inside & truth).sum() / (inside | truth).sum())
    assert len(summary(table)) == 12
    with pytest.raises(InputError, match="labels are of 3 frames"):
        fidelity(found, [LabelledQuery("a pan", truth[:3])])


def test_script_prints_text_json_csv_and_edl(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def printed(*argv: str) -> str:
        capsys.readouterr()
        main(["--run", str(run), *argv])
        return capsys.readouterr().out

    assert "a red mug:" in printed("a red mug", "--top", "2")
    content = json.loads(printed("a red mug", "a pan -apple", "--json"))
    assert {hit["question"] for hit in content} == {"a red mug", "a pan -apple"}
    assert {"start_seconds", "relevancy", "reading", "held_out", "true_relevancy"} <= content[
        0
    ].keys()
    table = pd.read_csv(pd.io.common.StringIO(printed("a red mug", "--csv")))
    assert len(table) == sum(hit["question"] == "a red mug" for hit in content)
    assert printed("a red mug", "--edl").startswith("TITLE:")
    main(["--run", str(run), "--like", "0-0.44"])  # all of it
    assert "no other moment" in capsys.readouterr().err
    queries = Path("queries.txt")
    queries.write_text("a red mug\n\na pan\n")
    assert "2 queries" in printed("--fidelity", str(queries))


def test_unusable_input_is_refused_with_one_line(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(*argv: str, path: Path = run) -> str:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["search.py", "--run", str(path), *argv])
        with pytest.raises(SystemExit) as left:
            main_guard(main, {})
        assert left.value.code == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    assert "there is no query" in refused()
    assert "no text to search for" in refused(" ")
    assert "--top" in refused("mug", "--top", "0")
    assert "--grid" in refused("mug", "--grid", "0")
    assert "START-END" in refused("--like", "now")
    assert "nothing.png does not exist" in refused("--image", "nothing.png")
    (tmp_path / "text.png").write_text("no image")
    assert "cannot be read as an image" in refused("--image", str(tmp_path / "text.png"))
    assert "does not exist" in refused("mug", path=tmp_path / "nowhere")
    assert "cannot read nothing.txt" in refused("--fidelity", "nothing.txt")
    assert "no labels" in refused("--fidelity", "nothing.json")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    assert "no query" in refused("--fidelity", str(empty))
    swapped = tmp_path / "swapped"
    shutil.copytree(run, swapped)
    config = json.loads((swapped / "config.json").read_text())
    config["teacher"]["model"] = write_tiny_clip(tmp_path / "another", seed=9)
    (swapped / "config.json").write_text(json.dumps(config))
    assert "cannot be compared" in refused("mug", path=swapped)
    (swapped / "config.json").write_text(json.dumps(config | {"teacher": None}))
    assert "has no teacher" in refused("mug", path=swapped)
    cut = tmp_path / "cut"
    shutil.copytree(run, cut)
    (cut / "true.npy").write_bytes((run / "true.npy").read_bytes()[:-100])
    assert "true.npy is damaged" in refused("mug", path=cut)
    shutil.copy(run / "true.npy", cut)
    (cut / "baselines.npz").write_bytes((run / "baselines.npz").read_bytes()[:-100])
    queries = tmp_path / "queries.txt"
    queries.write_text("mug\n")
    assert "baselines.npz is damaged" in refused("--fidelity", str(queries), path=cut)
