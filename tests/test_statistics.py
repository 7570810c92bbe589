"""Similarities, statistics and baselines against another library, a formula or a known case."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from nerv_clip import similarity
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.similarity import slerp
from nerv_clip.verification import statistics
from nerv_clip.verification.baselines import STRENGTHS, ridge
from nerv_clip.verification.measures import sample, score_frames
from nerv_clip.verification.tables import (
    _nearest,
    _process,
    components,
    read_by_process,
    stored,
    tables,
)

Array = NDArray[np.float64]


def noise(frames: int, dim: int, seed: int, memory: float = 0.9) -> Array:
    """A stationary autoregressive sequence of order 1 with the autocorrelation ``memory``."""
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal(dim)]
    for _ in range(frames - 1):
        step = rng.standard_normal(dim) * np.sqrt(1 - memory**2)
        values.append(memory * values[-1] + step)
    return similarity.unit(np.array(values))


def test_cosine_and_centred_cosine_match_hand_computed_values() -> None:
    a, b = np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 2.0], [5.0, 5.0]])
    np.testing.assert_allclose(similarity.cosine(a, b), [0, 1], atol=1e-12)
    mean = np.array([0.5, 0.0])
    (value,) = similarity.centred_cosine(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), mean)
    assert value == pytest.approx(-0.5 / np.sqrt(1.25))  # (.5, 0) with (-.5, 1)


def test_ranks_match_scipy_and_share_ties() -> None:
    rng = np.random.default_rng(0)
    true = rng.standard_normal((9, 4))
    true[3] = true[5]  # two frames that look the same
    candidate = true + 0.7 * rng.standard_normal(true.shape)
    found = similarity.ranks(candidate, true, np.arange(9))
    cosines = cosine_similarity(candidate, true).round(12)
    expected = [stats.rankdata(-row, "average")[i] for i, row in enumerate(cosines)]
    np.testing.assert_allclose(found.rank, expected)

    exact = similarity.ranks(true, true, np.arange(9))
    np.testing.assert_allclose(exact.r1, [1, 1, 1, 0.5, 1, 0.5, 1, 1, 1])
    np.testing.assert_allclose(exact.reciprocal[3], (1 + 1 / 2) / 2)
    np.testing.assert_allclose(exact.r5, 1)
    np.testing.assert_allclose(exact.near, 1)  # 3 and 5 are two frames apart
    same = similarity.ranks(np.ones((6, 4)), np.ones((6, 4)), np.arange(6))
    np.testing.assert_allclose(same.r1, 1 / 6)
    np.testing.assert_allclose(same.r5, 5 / 6)
    np.testing.assert_allclose(same.rank, 3.5)
    np.testing.assert_allclose(same.near, np.array([3, 4, 5, 5, 4, 3]) / 6)


def test_ranks_of_chunks_are_those_of_all_similarities(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    true = similarity.unit(rng.standard_normal((1500, 4)))
    true[100:200] = true[7]  # frames that look the same
    candidate = similarity.unit(true + 0.5 * rng.standard_normal(true.shape))
    candidate[::9] = true[::9]
    own = np.arange(1500)
    cosines = candidate @ true.T
    to_own = cosines[own, own][:, None]
    better, ties = (cosines > to_own).sum(1), (cosines == to_own).sum(1)
    best = cosines == cosines.max(1, keepdims=True)
    near = (best & (np.abs(own - own[:, None]) <= 2)).sum(1) / best.sum(1)
    monkeypatch.setattr(similarity, "COMPARED", 1 << 16)
    tracemalloc.start()
    found = similarity.ranks(candidate, true, own)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4e6  # all similarities take 18 MB
    np.testing.assert_array_equal(found.rank, better + (ties + 1) / 2)
    np.testing.assert_array_equal(found.near, near)
    part = similarity.ranks(candidate[3::7], true, own[3::7])
    for values, whole in zip(part, found, strict=True):
        np.testing.assert_array_equal(values, whole[3::7])


def test_pairs_of_many_frames_are_those_of_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.arange(3, 8000, 4)
    assert sample(frames, 2000) is frames
    found = sample(frames, 500)
    assert len(found) == 500
    assert set(found) <= set(frames)
    assert (np.diff(found) > 0).all()
    assert np.diff(found).max() <= 8 * 4
    counts = np.bincount(sample(np.arange(8000), 2000) % 4)  # 8000 = 4 · 2000: no step of 4
    assert counts.min() > 450
    monkeypatch.setattr("nerv_clip.verification.measures.PAIRED", 40)
    true, values = noise(90, 6, 0), noise(90, 6, 1)
    second = true.copy()
    values[5] = second[5] = np.nan
    splits = {"all": np.arange(90), "val": np.arange(6, 90), "few": np.arange(50, 70)}
    scores = score_frames([values, second], true, [0, 1], splits)
    assert scores.alignments.keys() == {"val", "few"}
    for name, chosen in (("val", sample(splits["val"], 40)), ("few", splits["few"])):
        pair = values[chosen], true[chosen]
        cka, rsa = (similarity.debiased_cka(*pair) + 1) / 2, (similarity.rsa(*pair) + 1) / 2
        assert scores.alignments[name] == pytest.approx((cka, rsa))  # means over draws
    assert np.isnan(scores.ranks.rank[5])
    assert np.isfinite(np.delete(scores.ranks.rank, 5)).all()


def test_debiased_cka_matches_its_definition() -> None:
    """Song et al.'s estimator: the mean over all quadruples of distinct frames."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 3)), rng.standard_normal((6, 8))

    def hsic(x: Array, y: Array) -> float:
        k, m = x @ x.T, y @ y.T
        quadruples = list(itertools.permutations(range(6), 4))
        terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in quadruples]
        return float(np.mean(terms))

    expected = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
    assert similarity.debiased_cka(a, b) == pytest.approx(expected)
    assert similarity.debiased_cka(a, 3 * a + 5) == pytest.approx(1)
    assert np.isnan(similarity.debiased_cka(np.ones((6, 3)), a))
    assert np.isnan(similarity.debiased_cka(a[:3], b[:3]))


def test_debiased_cka_of_independent_wide_noise_is_zero_on_average() -> None:
    """The biased estimator gives .8 with more dimensions than frames."""
    rng = np.random.default_rng(1)
    values = [
        similarity.debiased_cka(rng.standard_normal((40, 300)), rng.standard_normal((40, 300)))
        for _ in range(20)
    ]
    assert abs(np.mean(values)) < 0.05


def test_rsa_matches_scipy_spearman_of_cosine_matrices() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((12, 5)), rng.standard_normal((12, 7))
    upper = np.triu_indices(12, 1)
    expected = stats.spearmanr(cosine_similarity(a)[upper], cosine_similarity(b)[upper]).statistic
    assert similarity.rsa(a, b) == pytest.approx(expected)
    assert np.isnan(similarity.rsa(np.ones((12, 5)), b))


def test_autocorrelation_and_effective_sample_size_match_theory() -> None:
    values = noise(60, 3, 0)
    centred = values - values.mean(0)
    products = [(centred[: 60 - lag] * centred[lag:]).sum() for lag in range(60)]
    np.testing.assert_allclose(
        statistics.autocorrelation(values), np.array(products) / products[0], atol=1e-12
    )
    white = np.random.default_rng(0).standard_normal((2000, 4))
    assert statistics.effective_sample_size(white) == pytest.approx(2000, rel=0.1)
    smooth = np.stack([noise(2000, 64, seed, 0.9) for seed in range(4)])
    # theory, for an autoregression with memory m: T (1 - m) / (1 + m)
    found = np.mean([statistics.effective_sample_size(v) for v in smooth])
    assert found == pytest.approx(2000 * 0.1 / 1.9, rel=0.25)
    assert statistics.block_length(smooth[0]) == pytest.approx(19, abs=6)
    assert statistics.effective_sample_size(np.ones((30, 4))) == 1
    assert statistics.block_length(np.ones((30, 4))) == 15


def test_bootstrap_interval_is_the_t_interval_of_independent_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, 40)
    found = statistics.bootstrap_interval(values, statistics.bootstrap(40, 1, draws=20_000))
    low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    few = statistics.bootstrap_interval(values, statistics.bootstrap(40, 20))
    assert few.high - few.low > 2 * (high - low)  # two blocks have one degree of freedom
    cut = statistics.bootstrap_interval(values, statistics.bootstrap(40, 20), within=(2, 3.5))
    assert (cut.low, cut.high) == (2, 3.5)
    skill = statistics.bootstrap_interval(
        0.5 * np.abs(values), statistics.bootstrap(40, 1), np.abs(values)
    )
    assert skill == pytest.approx((0.5, 0.5, 0.5))


def test_resampled_and_shuffled_blocks_stay_together(monkeypatch: pytest.MonkeyPatch) -> None:
    picked = statistics.bootstrap(10, 4, draws=50)
    assert picked.blocks == 3
    assert set(picked.starts.ravel()) == set(range(10))
    values = np.random.default_rng(0).standard_normal(10)
    indices = (picked.starts[:, :, None] + np.arange(4)).reshape(50, 12)[:, :10] % 10
    np.testing.assert_allclose(picked.means(values), values[indices].mean(1), atol=1e-12)
    monkeypatch.setattr(statistics, "CHUNK", 7)
    np.testing.assert_allclose(picked.means(values), values[indices].mean(1), atol=1e-12)
    one = statistics.bootstrap(3, 1, draws=4)
    np.testing.assert_allclose(one.means(values[:3]), values[one.starts].mean(1), atol=1e-12)
    order = statistics.shuffled_blocks(11, 4, np.random.default_rng(0))
    assert sorted(order) == list(range(11))
    steps = np.diff(order) % 11
    assert (steps != 1).sum() <= 2  # three blocks have two boundaries


def test_mean_cosine_by_shift_matches_numpy_roll() -> None:
    candidate, true = noise(30, 4, 0), noise(30, 4, 1)
    rolled = [similarity.cosine(candidate, np.roll(true, -shift, 0)).mean() for shift in range(30)]
    np.testing.assert_allclose(statistics.mean_cosine_by_shift(candidate, true), rolled, atol=1e-12)


def test_local_deviations_remove_trends_and_shorten_cuts() -> None:
    frames = [1, 3, 4, 7, 9, 12, 15, 16, 20, 21, 25]
    times = np.arange(30.0)
    trend = np.stack([times, 3 - 2 * times], 1)
    assert np.abs(statistics.local_deviations(trend, frames, 2)).max() < 1e-12
    # by hand, with one neighbour for each frame: twice the second difference, halved
    values = noise(9, 3, 0)
    once = values[1:-1] - (values[:-2] + values[2:]) / 2
    twice = once[1:-1] - (once[:-2] + once[2:]) / 2
    found = statistics.local_deviations(values, range(9), 1)
    length = np.linalg.norm(twice, axis=1)
    np.testing.assert_allclose(found, twice / np.maximum(length, np.median(length))[:, None])
    cut = noise(40, 3, 1, 0.0)
    cut[20:] += 1000
    lengths = np.linalg.norm(statistics.local_deviations(cut, range(40), 1), axis=1)
    assert lengths.max() == pytest.approx(1)
    static = statistics.local_deviations(np.ones((9, 3)), range(9), 1)
    assert not static.any()
    assert statistics.shift_test(static, static).floor == 1  # nothing moves: no result


def test_shift_test_counts_shifts_that_agree_as_well() -> None:
    a, b = noise(12, 4, 0, 0.0), noise(12, 4, 1, 0.0)
    standard = []
    for shift in range(-6, 7):
        pairs = [(i, i + shift) for i in range(12) if 0 <= i + shift < 12]
        standard.append(sum(a[i] @ b[j] for i, j in pairs) / np.sqrt(len(pairs)))
    found = statistics.shift_test(a, b)
    assert found.p == pytest.approx(np.mean(np.array(standard) >= standard[6] - 1e-9))
    assert found.statistic == pytest.approx((a * b).sum() / 12)  # rows of unit length
    assert statistics.shift_test(b, b).p == pytest.approx(1 / 13)
    turns = np.arange(80)[:, None] * 2 * np.pi / 8
    periodic = np.concatenate([np.cos(turns), np.sin(turns)], 1)
    assert statistics.shift_test(periodic, periodic).effective < 8


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 99), st.booleans())
def test_p_of_the_shift_test_is_at_least_its_floor(
    moving: list[bool], seed: int, exact: bool
) -> None:
    true = noise(len(moving), 4, seed, 0.0) * np.array(moving)[:, None]
    predicted = true if exact else noise(len(moving), 4, seed + 100, 0.0)
    found = statistics.shift_test(predicted, true)
    assert found.floor <= found.p <= 1
    if all(moving) and exact:
        assert found.p == found.floor  # for an even and an odd number of deviations


@pytest.mark.parametrize("trend", [0.0, 20.0])
def test_shift_test_keeps_its_level_under_a_shared_trend(trend: float) -> None:
    """At a level of 5 %, at most 18 of 200 tests of independent guesses are significant.

    18 is the 99 % quantile of the binomial distribution. Guesses and true embeddings follow the
    same trend. With a part of the true signal added, nearly all tests are significant.
    """
    false_alarms = detected = 0
    shared = trend * np.sin(np.linspace(0, np.pi, 200))[:, None] * np.ones(8) / np.sqrt(8)
    for seed in range(200):
        true, other = noise(200, 8, 2 * seed), noise(200, 8, 2 * seed + 1)
        for planted in (False, True):
            guess = other + true if planted else other
            deviations = [
                statistics.local_deviations(shared + values, range(3, 200, 4), 2)
                for values in (guess, true)
            ]
            significant = statistics.shift_test(*deviations).p < 0.05
            detected += significant and planted
            false_alarms += significant and not planted
    assert false_alarms <= 18
    assert detected >= 190


def test_tables_are_stored_in_8_bits_and_read_back() -> None:
    rows = noise(30, 24, 0)
    found = stored(rows)
    steps = np.abs(rows).max(1, keepdims=True) / 127
    assert (np.abs(found.values - rows) <= steps / 2 + 1e-7).all()
    assert 600 < found.size < 30 * 24 + 30 * 4 + 60  # a byte for each number, and a step a row
    for name, table in tables(rows, list(range(0, 30, 2)), 300):
        assert table is not None, name
        assert table.size <= 300
        np.testing.assert_allclose(np.linalg.norm(table.values, axis=1), 1)
    assert all(table is None for _, table in tables(rows, list(range(0, 30, 2)), 10))
    exact = components(rows, list(range(0, 30, 2)))(15).values
    np.testing.assert_allclose(exact, rows[::2], atol=0.02)


def test_gaussian_process_matches_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    at = np.array([0, 3, 4, 9, 12, 14, 20])
    rows = noise(7, 3, 0)
    kernel = Matern(length_scale=5, nu=1.5)
    fitted = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None).fit(at[:, None], rows)
    times = np.arange(21)
    near = _nearest(times, at, leave_out=False)
    found = _process(times, at, rows, near, ("Matérn 3/2", 5.0, 0.01))
    np.testing.assert_allclose(found, fitted.predict(times[:, None]), atol=1e-9)
    monkeypatch.setattr("nerv_clip.verification.tables.CHUNK", 4)
    in_chunks = _process(times, at, rows, near, ("Matérn 3/2", 5.0, 0.01))
    np.testing.assert_array_equal(in_chunks, found)
    others = np.arange(7) != 2
    without = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None)
    expected = without.fit(at[others, None], rows[others]).predict([[4]])
    near = _nearest(at, at, leave_out=True)
    left_out = _process(at, at, rows, near, ("Matérn 3/2", 5.0, 0.01))
    np.testing.assert_allclose(left_out[2], expected[0], atol=1e-9)
    smooth = np.sin(np.arange(40)[:, None] / np.array([4, 6, 9]))
    read = read_by_process(smooth[::4], np.arange(0, 40, 4), 40)
    straight = np.stack([np.interp(np.arange(40), np.arange(0, 40, 4), v) for v in smooth[::4].T])
    inner = slice(4, 33)
    assert np.abs(read - smooth)[inner].mean() < 0.5 * np.abs(straight.T - smooth)[inner].mean()


def test_slerp_follows_the_great_circle() -> None:
    a, b = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    third = slerp(a, b, 1 / 3)
    np.testing.assert_allclose(third, [np.cos(np.pi / 6), np.sin(np.pi / 6), 0])
    np.testing.assert_allclose(slerp(a, a, 0.3), a)


def test_nearest_and_interpolation_leave_a_train_frame_itself_out() -> None:
    true = similarity.unit(np.random.default_rng(0).standard_normal((6, 4)))
    train = [0, 2, 3, 5]
    near = nearest(true, train)
    np.testing.assert_array_equal(near[[0, 1, 2, 3, 4, 5]], true[[2, 0, 3, 2, 3, 3]])
    linear = interpolated(true, train, spherical=False)
    np.testing.assert_allclose(linear[2], (2 * true[3] * 1 + true[0]) / 3)
    np.testing.assert_allclose(linear[4], (true[3] + true[5]) / 2)
    np.testing.assert_allclose(linear[0], true[2])
    assert np.isnan(nearest(true, [1])[1]).all()
    np.testing.assert_allclose(nearest(true, [1])[0], true[1])


def test_ridge_matches_scikit_learn_with_leave_one_out() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20, 5))
    true = features @ rng.standard_normal((5, 3)) + 0.3 * rng.standard_normal((20, 3))
    train = list(range(0, 20, 2))
    found = ridge(features, true, train)
    errors = []
    for strength in STRENGTHS:
        left_out = []
        for index in train:
            others = [i for i in train if i != index]
            fitted = Ridge(alpha=strength).fit(features[others], true[others])
            left_out.append(fitted.predict(features[[index]])[0])
        errors.append(np.mean((np.array(left_out) - true[train]) ** 2))
    best = STRENGTHS[int(np.argmin(errors))]
    fitted = Ridge(alpha=best).fit(features[train], true[train])
    held = [i for i in range(20) if i not in train]
    np.testing.assert_allclose(found[held], fitted.predict(features[held]), atol=1e-8)
    for index in train:
        others = [i for i in train if i != index]
        alone = Ridge(alpha=best).fit(features[others], true[others]).predict(features[[index]])
        np.testing.assert_allclose(found[index], alone[0], atol=1e-8)
