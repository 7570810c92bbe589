"""Charts of long videos: bins with their mean and range, and how large a chart is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from nerv_clip import split_frames
from nerv_clip.video.shots import Shots

APP = Path(__file__).parents[1] / "app"
LONG = 50_000
MOST_BYTES = 1_000_000
splits = np.array(split_frames(LONG, "3_3_4"))


@pytest.fixture(autouse=True)
def _app_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))


@pytest.fixture
def psnr() -> np.ndarray:
    rng = np.random.default_rng(0)
    return 30 + rng.normal(0, 1, LONG) - 2 * (splits == "val")


@given(
    st.lists(st.one_of(st.floats(-9, 9), st.just(float("nan"))), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(0, 5),
)
def test_bins_match_pandas(values: list[float], width: int, start: int) -> None:
    from charts.bins import in_bins

    shown = range(min(start, len(values) - 1), len(values))
    found = in_bins(np.array(values), shown, width)
    part = pd.Series(values[shown.start :], index=shown, dtype=float)
    rows = part.groupby((part.index - shown.start) // width)
    table = rows.agg(["min", "mean", "max", "count"])
    table = table[table["count"] > 0]
    for name, mine in (("min", found.low), ("mean", found.mean), ("max", found.high)):
        assert mine == pytest.approx(table[name].to_numpy())
    assert found.count.tolist() == table["count"].tolist()
    assert found.first.tolist() == [shown.start + width * i for i in table.index]
    kept = [values[i] for i in found.highest]
    assert kept == pytest.approx(table["max"].to_numpy())
    for typical, mean, first, last in zip(
        found.typical, found.mean, found.first, found.last, strict=True
    ):
        away = np.abs(np.array(values[first : last + 1]) - mean)
        assert abs(values[typical] - mean) == pytest.approx(np.nanmin(away))


def test_a_long_curve_is_small_and_keeps_its_held_out_frames_apart(psnr: np.ndarray) -> None:
    import charts

    psnr[31_337] = 3.0  # one bad frame
    baselines = {"a": psnr + 1, "b": psnr + 2}
    shots = Shots(LONG, tuple(range(0, LONG, 100)))
    figure = charts.per_frame(
        psnr, splits.tolist(), "PSNR", "dB", shots=shots, current=5, baselines=baselines
    )
    assert len(figure.to_json()) < MOST_BYTES / 4
    marks = {trace.name: trace for trace in figure.data if trace.mode == "markers"}
    for name, split in (("train, mean", "train"), ("held out, mean", "val")):
        frame, first, last, count, low, high = np.array(marks[name].customdata).T.tolist()
        assert sum(count) == np.sum(splits == split)
        assert set(splits[np.array(frame, int)]) == {split}  # a click goes to one of them
        inside = np.arange(int(first[7]), int(last[7]) + 1)
        own = psnr[inside[splits[inside] == split]]
        assert marks[name].y[7] == pytest.approx(own.mean())
        assert (low[7], high[7]) == pytest.approx((own.min(), own.max()))
    low = next(trace for trace in figure.data if trace.mode == "lines" and min(trace.y) < 4)
    assert min(low.y) == 3.0  # the area shows it
    assert not [trace for trace in figure.data if trace.name == "cut"]  # 499 would cover it

    shown = range(31_000, 32_000)
    figure = charts.per_frame(
        psnr, splits.tolist(), "PSNR", "dB", shots=shots, current=5, shown=shown
    )
    (held_out,) = [trace for trace in figure.data if trace.name == "held out"]
    wanted = [i for i in shown if splits[i] == "val"]
    assert held_out.x.tolist() == held_out.customdata.tolist() == wanted
    assert held_out.y.tolist() == psnr[wanted].tolist()
    assert [trace.name for trace in figure.data].count("cut") == 1


def test_all_charts_of_a_long_run_are_small(psnr: np.ndarray) -> None:
    import charts

    rng, shots = np.random.default_rng(0), Shots(LONG)
    times = np.linspace(0, LONG - 1, 4 * LONG)
    scores = {f"query {i}": rng.random(len(times)) for i in range(6)}
    for curve in scores.values():
        curve[123_456] = 1.0
    true = dict.fromkeys(scores, psnr / 40)
    embeddings = rng.normal(size=(LONG, 8))
    points = embeddings[:, :2]
    figures = [
        charts.relevancy(times, scores, true, shots),
        charts.relevancy(times, scores, true, shots, range(20_000, 21_000)),
        charts.lines(np.arange(LONG), {"shifted": psnr, "not": psnr}, "Shifts", "x", "y"),
        charts.compared(dict.fromkeys("abc", psnr), "PSNR", "dB", shots=shots),
        charts.histogram(psnr, splits.tolist(), "PSNR", "dB"),
        charts.similarity_matrix(embeddings, embeddings, np.arange(LONG), "Cosine", "true", "true"),
        charts.embedding_map(
            points, points, psnr, "t", splits.tolist(), connected=True, current=LONG - 1
        ),
    ]
    assert max(len(figure.to_json()) for figure in figures) < MOST_BYTES
    highest = [max(trace.y) for trace in figures[0].data if trace.name in scores]
    assert highest == [1.0] * 6  # no match is lost
    shares = [sum(trace.y) for trace in figures[4].data]
    assert shares == pytest.approx([1, 1])


def page(frames: int) -> None:
    """What a page of a run of so many frames does."""
    import streamlit
    from shown_frames import shown_frames

    streamlit.session_state.setdefault("persistent", {})
    streamlit.session_state.setdefault("frame", 49_990)
    streamlit.session_state.shown = shown_frames(frames)


def test_part_of_a_long_video_is_shown_around_the_current_frame() -> None:
    app = AppTest.from_function(page, args=(300,)).run()
    assert app.session_state.shown == range(300)
    assert not app.segmented_control
    app = AppTest.from_function(page, args=(LONG,)).run()
    assert app.session_state.shown == range(LONG)
    assert "up to 100 neighbouring frames" in app.caption[0].value
    app.segmented_control[0].set_value(1000).run()
    assert app.session_state.shown == range(LONG - 1000, LONG)
    assert not app.caption
    app.session_state.frame = 20_000
    app.run()
    assert app.session_state.shown == range(19_500, 20_500)
