"""Where a query is shown: relevancy of cells, regions, spots, and places in a trained run."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nerv_clip import InputError, Run, load_model, load_video
from nerv_clip.cli import main_guard
from nerv_clip.search import TrainedRun, load_run, maps
from nerv_clip.search.maps import MapIndex, load_maps, map_of_frames, mapped_frames
from nerv_clip.search.places import (
    LIT,
    SPOT,
    MapScores,
    map_scores,
    region,
    stretches_of,
    term_levels,
    text_reference_of_maps,
)
from nerv_clip.search.relevancy import THRESHOLD, EncodedQuery, logistic, spot_query
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.video.shots import Shots
from tests.runs import CLIP_FLAGS, train
from train.search import main

FRAMES, ROWS, COLUMNS, DIM, TEXTS = 40, 12, 20, 24, 50
GRID = Grid(ROWS, COLUMNS)
SHOWN = slice(4, 7), slice(10, 15)  # rows and columns of the thing that is shown
SHOTS = Shots(FRAMES, (0, 15))


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def index_of(cells: NDArray[np.float32], grid: Grid = GRID) -> MapIndex:
    frames, basis = np.arange(len(cells)), np.eye(DIM, dtype=np.float32)[None]
    return MapIndex(frames, cells.astype(np.float16), basis, np.zeros_like(frames), grid)


class Scene:
    """Random cells; the second shot shows the thing of ``texts[0]`` at `SHOWN`."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.texts = unit(rng.normal(size=(TEXTS, DIM)))
        cells = rng.normal(size=(FRAMES, ROWS, COLUMNS, DIM)) + 0.5  # with a common direction
        cells[15:, *SHOWN] = 12 * self.texts[0] + rng.normal(size=DIM) * 0.2
        self.index = index_of(unit(cells))
        self.stretches = stretches_of(self.index, SHOTS)
        absent = np.ones((2, TEXTS), bool)
        absent[1, 0] = False
        self.reference = text_reference_of_maps(self.index, self.stretches, self.texts, absent)

    def query(self, *terms: int, negated: tuple[bool, ...] | None = None) -> EncodedQuery:
        return EncodedQuery(
            label="",
            reading="",
            vectors=self.texts[[*terms]],
            weights=np.ones(len(terms), np.float32),
            negated=np.array(negated or (False,) * len(terms)),
            unrelated=self.texts,
            forms=(None,) * len(terms),
        )

    def scores(self, query: EncodedQuery) -> MapScores:
        if query.spot:
            return map_scores(self.index, self.stretches, query)
        levels = term_levels(self.index, self.stretches, query, self.reference)
        return map_scores(self.index, self.stretches, query, levels)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_what_is_shown_lights_up_where_it_is(scene: Scene) -> None:
    lit = scene.scores(scene.query(0)).relevancy > THRESHOLD
    assert lit[15:, *SHOWN].all()
    there = np.zeros_like(lit)
    there[15:, *SHOWN] = True
    assert lit[~there].mean() < 3 * LIT


def test_few_cells_light_up_for_what_is_not_shown(scene: Scene) -> None:
    for text in unit(np.random.default_rng(1).normal(size=(20, DIM))):  # not among the unrelated
        query = replace(scene.query(1), vectors=text[None])
        assert (scene.scores(query).relevancy > THRESHOLD).mean() < 0.01


def test_no_frame_has_a_scale_of_its_own(scene: Scene) -> None:
    """Relevancy follows from the height and the level of its stretch alone."""
    for text in (0, 1):
        found = scene.scores(scene.query(text))
        level = scene.reference.level[scene.stretches.own][:, None, None]
        np.testing.assert_allclose(found.relevancy, logistic(found.height - level), atol=1e-6)
    quiet = scene.scores(scene.query(1)).relevancy
    assert quiet[15:, *SHOWN].max() < 0.5 < scene.scores(scene.query(0)).relevancy.max()


def test_the_best_term_counts_and_a_negated_one_does_not(scene: Scene) -> None:
    both = scene.scores(scene.query(0, 1)).relevancy
    each = [scene.scores(scene.query(term)).relevancy for term in (0, 1)]
    np.testing.assert_array_equal(both, np.maximum(*each))
    without = scene.scores(scene.query(0, 1, negated=(False, True)))
    np.testing.assert_array_equal(without.relevancy, each[0])


def test_a_text_in_a_form_is_compared_with_that_form(scene: Scene) -> None:
    higher = replace(scene.query(0), forms=(1.5 * scene.texts,))  # all of them score higher
    plain = scene.scores(scene.query(0)).relevancy
    assert (scene.scores(higher).relevancy <= plain).all()
    assert scene.scores(higher).relevancy.max() < plain.max()


@pytest.mark.parametrize("width", [1.0, 1.25])
def test_the_region_is_that_of_the_peak_in_the_frame(scene: Scene, width: float) -> None:
    grid = Grid(ROWS, COLUMNS, 1.0, width)
    height = scene.scores(scene.query(0)).height[20]
    place = region(height, grid)
    (top, bottom), (left, right) = ((cells.start, cells.stop) for cells in SHOWN)
    assert top <= place.y * ROWS <= bottom
    assert left <= place.x / width * COLUMNS <= right
    cell_y, cell_x = 1 / ROWS, width / COLUMNS
    box = (left * cell_x, top * cell_y, right * cell_x, bottom * cell_y)
    assert place[:4] == pytest.approx(box, abs=0.5 * max(cell_x, cell_y))
    flat = region(np.zeros((ROWS, COLUMNS), np.float32), grid)  # a map without a peak
    assert flat[:4] == pytest.approx((0, 0, 1, 1))


def test_a_second_thing_is_not_in_the_region(scene: Scene) -> None:
    height = np.zeros((ROWS, COLUMNS), np.float32)
    height[2:4, 3:5], height[8:10, 15:17] = 1.0, 0.9
    place = region(height, GRID)
    assert place.right < 8 / COLUMNS
    assert place.bottom < 6 / ROWS


def test_a_spot_finds_the_same_thing(scene: Scene) -> None:
    vector = scene.index.vector(20, (12 + 0.5) / COLUMNS, (5 + 0.5) / ROWS)
    np.testing.assert_allclose(vector, scene.index.cells[20, 5, 12], atol=1e-6)
    found = scene.scores(spot_query("like", vector))
    assert found.height[20, 5, 12] == pytest.approx(1, abs=1e-2)
    assert (found.height[15:, *SHOWN] > SPOT).all()
    assert (found.relevancy[:15] < THRESHOLD).all()
    assert scene.index.vector(3, 1.0, 1.0).shape == (DIM,)  # the corner belongs to the last cell


def test_each_stretch_has_its_own_mean_and_level() -> None:
    cells = np.random.default_rng(0).normal(size=(2, ROWS, COLUMNS, DIM))
    texts = unit(np.random.default_rng(1).normal(size=(TEXTS, DIM)))
    cells[1, :6] += 12 * texts[0]  # a shot in which a text scores high in the upper half
    index, shots = index_of(unit(cells)), Shots(2, (0, 1))
    stretches = stretches_of(index, shots)
    found = text_reference_of_maps(index, stretches, texts, np.ones((2, TEXTS), bool))
    assert found.level.shape == (2,)
    assert found.level[1] > found.level[0] + 0.03
    np.testing.assert_allclose(stretches.mean, index.cells.astype(float).mean((1, 2)), atol=1e-3)


def test_maps_keep_their_bases() -> None:
    rng = np.random.default_rng(0)
    bases = np.stack([np.linalg.qr(rng.normal(size=(DIM, 4)))[0].T for _ in range(2)])
    cells = unit(rng.normal(size=(150, 2, 3, 4))).astype(np.float16)
    basis = (np.arange(150) >= 70).astype(int)
    index = MapIndex(np.arange(150), cells, bases.astype(np.float32), basis, Grid(2, 3))
    text = rng.normal(size=DIM).astype(np.float32)
    expected = np.einsum("nrck,nkd,d->nrc", cells.astype(float), bases[basis], text)
    found = np.concatenate([values for _, values in index.cosines(text[None])])[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    some = np.array([80, 3, 71])
    part = np.concatenate([values for _, values in index.take(some).cosines(text[None])])[..., 0]
    np.testing.assert_allclose(part, expected[some], atol=1e-3)
    assert index.vector(80, 0.9, 0.9) @ text == pytest.approx(expected[80, 1, 2], abs=1e-3)


def test_a_long_video_has_fewer_maps_and_none_of_another_shot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maps, "MOST", 10)
    shots = Shots(40, (0, 13, 14))
    frames = mapped_frames(shots)
    assert frames.tolist() == [0, 4, 8, 12, 13, *range(14, 40, 4)]
    numbers = map_of_frames(frames, shots)
    for frame, number in enumerate(numbers):
        assert shots.of(int(frames[number])) == shots.of(frame)
        assert abs(frames[number] - frame) <= 3
    np.testing.assert_array_equal(numbers[frames], range(len(frames)))
    assert map_of_frames(mapped_frames(Shots(1)), Shots(1)).tolist() == [0]


@pytest.fixture(scope="module")
def dense_run(
    tmp_path_factory: pytest.TempPathFactory, video_file: Path, teacher: str
) -> TrainedRun:
    """A run with a dense head, of a video that is cropped and resized."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("dense"))
        dense = ["--predict_dense", "--dense_rank", "8", "--crop_list", "40_60"]
        dense += ["--resize_list", "48_72"]
        path = train(video_file, *CLIP_FLAGS, "--clip_model", teacher, *dense).resolve()
    return load_run(path)


def test_maps_are_those_of_the_network(dense_run: TrainedRun) -> None:
    index, again = load_maps(dense_run.run.best), load_maps(dense_run.run.best)
    assert isinstance(again.cells, np.memmap)
    np.testing.assert_array_equal(index.cells, again.cells)
    t = torch.tensor([5 / 11], dtype=torch.float64)
    with torch.no_grad():
        predicted = load_model(dense_run.run.best).embed_map(t)[0].numpy()
    text = np.random.default_rng(0).normal(size=16).astype(np.float32)
    found = np.concatenate([values for _, values in index.cosines(text[None])])[5, ..., 0]
    expected = np.einsum("d,dhw->hw", text, predicted)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    place = index.vector(5, 0.5, 0.5) @ text
    assert place == pytest.approx(found[index.grid.rows // 2, index.grid.columns // 2], abs=1e-5)


def test_places_are_pixels_of_the_source(
    dense_run: TrainedRun, capsys: pytest.CaptureFixture[str]
) -> None:
    query = dense_run.query_encoder.phrases.unrelated[0]
    moment = dense_run.search(query).moments[0]
    where = moment.where
    assert where is not None
    # the crop of 40x60 of 48x80 pixels begins at row 4 and column 10
    assert 10 <= where.left < where.right <= 70
    assert 4 <= where.top < where.bottom <= 44
    assert where.left <= where.x <= where.right
    assert where.top <= where.y <= where.bottom
    main(["--run", str(dense_run.run.path), query, "--json"])
    fields = json.loads(capsys.readouterr().out)[0]
    assert fields["left"] == pytest.approx(where.left, abs=0.06)
    assert fields["y"] == pytest.approx(where.y, abs=0.06)
    main(["--run", str(dense_run.run.path), query, "--csv"])
    row = next(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(row["bottom"]) == fields["bottom"]
    main(["--run", str(dense_run.run.path), query])
    assert f"at pixel ({where.x:.0f}, {where.y:.0f})" in capsys.readouterr().out


def test_an_image_and_a_moment_have_no_place(dense_run: TrainedRun) -> None:
    assert dense_run.search_like(0, 0.1).moments[0].where is None


def test_a_spot_is_found_elsewhere_and_without_a_teacher(
    dense_run: TrainedRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(dense_run.run.path)
    monkeypatch.setattr(type(run.query_encoder), "encoder", property(forbidden))
    answer = run.search_spot(0.3, 0.6, 4)
    assert answer.true_relevancy is None
    at_frames = answer.relevancy[::4]
    assert at_frames[4] == at_frames.max()
    assert at_frames[4] == pytest.approx(float(logistic(np.array(1 - SPOT))), abs=0.01)
    for moment in answer.moments:  # the spot's own moment is left out
        assert not moment.start <= 4 / 11 <= moment.end
    main(["--run", str(dense_run.run.path), "--spot", "0.3,0.6,4"])
    printed = capsys.readouterr()
    assert "like (0.30, 0.60) of frame 4:" in printed.out or "no other moment" in printed.err


def forbidden(encoder: object) -> None:
    raise AssertionError("the teacher was loaded")


def test_the_teachers_own_map_has_the_levels_of_the_predicted_ones(dense_run: TrainedRun) -> None:
    places, encoder = dense_run.places, dense_run.query_encoder
    assert places is not None
    video = load_video(dense_run.config.video.spec)
    query = encoder.encode_text(encoder.phrases.unrelated[0])
    pixels = video.read([4])[0].permute(1, 2, 0).numpy()
    found, predicted = places.true_scores(query, 4, pixels), places.scores(query)
    assert found.height.shape == predicted.height[:1].shape
    shift = np.log(predicted.relevancy / (1 - predicted.relevancy)) / 10 - predicted.height
    np.testing.assert_allclose(shift, shift[0, 0, 0], atol=1e-3)
    own = np.log(found.relevancy / (1 - found.relevancy)) / 10 - found.height
    np.testing.assert_allclose(own, shift[0, 0, 0], atol=1e-3)
    true = DenseTeacher(encoder.encoder).maps(video.read([4]), places.index.grid)[0].numpy()
    basis = places.index.bases[0]
    kept = np.einsum("rd,dhw->rhw", basis, true)
    kept /= np.linalg.norm(kept, axis=0)
    expected = np.einsum("rhw,rd,d->hw", kept, basis, query.vectors[0])
    difference = found.height[0] - expected  # that of the mean cell
    np.testing.assert_allclose(difference, difference[0, 0], atol=2e-3)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--spot", "0.5,0.5"], "--spot 0.5,0.5: give X,Y,FRAME"),
        (["--spot", "0.5,0.5,now"], "give X,Y,FRAME"),
        (["--spot", "0.5,1.5,3"], "x 0.5, y 1.5 is outside of the frame: give numbers from 0 to 1"),
        (["--spot", "nan,0.5,3"], "is outside of the frame"),
        (["--spot", "0.5,0.5,12"], "frame 12: give 0 to 11"),
    ],
)
def test_a_bad_spot_is_one_line(
    argv: list[str],
    line: str,
    dense_run: TrainedRun,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["search.py", "--run", str(dense_run.run.path), *argv])
    with pytest.raises(SystemExit) as stop:
        main_guard(main)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert line in error
    assert len(error.strip().splitlines()) == 1


def test_a_run_without_a_dense_head_has_no_places(video_file: Path, teacher: str) -> None:
    run = load_run(train(video_file, *CLIP_FLAGS, "--clip_model", teacher))
    assert run.places is None
    assert run.search(run.query_encoder.phrases.unrelated[0]).moments[0].where is None
    with pytest.raises(InputError, match="has no dense head: train with `predict_dense`"):
        run.search_spot(0.5, 0.5, 0)
    with pytest.raises(InputError, match="has no dense head"):
        load_maps(Run(run.run.path).best)
