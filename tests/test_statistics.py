"""Similarities, statistics and baselines against another library, a formula or a known case."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from nerv_clip import similarity
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.similarity import slerp
from nerv_clip.verification import statistics
from nerv_clip.verification.baselines import STRENGTHS, ridge

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


def test_bootstrap_interval_has_the_width_of_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, 400)
    found = statistics.bootstrap_interval(values, statistics.bootstrap_indices(400, 1))
    half = 1.96 * values.std(ddof=1) / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    skill = statistics.bootstrap_interval(
        0.5 * np.abs(values), statistics.bootstrap_indices(400, 1), np.abs(values)
    )
    assert skill == pytest.approx((0.5, 0.5, 0.5))


def test_resampled_and_shuffled_blocks_stay_together() -> None:
    picked = statistics.bootstrap_indices(10, 4, draws=50)
    assert picked.shape == (50, 10)
    assert ((picked[:, 1:4] - picked[:, :3]) % 10 == 1).all()
    order = statistics.shuffled_blocks(11, 4, np.random.default_rng(0))
    assert sorted(order) == list(range(11))
    steps = np.diff(order) % 11
    assert (steps != 1).sum() <= 2  # three blocks have two boundaries


def test_circular_shifts_match_numpy_roll() -> None:
    candidate, true = noise(30, 4, 0), noise(30, 4, 1)
    rolled = [similarity.cosine(candidate, np.roll(true, -shift, 0)).mean() for shift in range(30)]
    np.testing.assert_allclose(statistics.mean_cosine_by_shift(candidate, true), rolled, atol=1e-12)
    found = statistics.circular_shift_test(candidate, true)
    assert found.p == pytest.approx(np.mean(np.array(rolled) >= rolled[0]))
    assert found.floor == pytest.approx(1 / 30)
    assert statistics.circular_shift_test(true, true).p == pytest.approx(1 / 30)


@pytest.mark.parametrize("memory", [0.5, 0.9])
def test_permutation_tests_keep_their_significance_level(memory: float) -> None:
    """At a level of 5 %, at most 18 of 200 tests on autocorrelated noise are significant.

    18 is the 99 % quantile of the binomial distribution. With a part of the true signal added to
    the noise, nearly all tests are significant.
    """
    false_alarms = {"shifts": 0, "blocks": 0}
    detected = {"shifts": 0, "blocks": 0}
    for seed in range(200):
        true, other = noise(150, 24, 2 * seed, memory), noise(150, 24, 2 * seed + 1, memory)
        planted = other + 0.5 * true
        length = statistics.block_length(true)
        for counts, candidate in ((false_alarms, other), (detected, planted)):
            shifts = statistics.circular_shift_test(candidate, true)
            blocks = statistics.block_permutation_test(
                candidate, true, length, draws=199, seed=seed
            )
            counts["shifts"] += shifts.p <= 0.05
            counts["blocks"] += blocks.p <= 0.05
    assert max(false_alarms.values()) <= 18, false_alarms
    assert min(detected.values()) >= 190, detected


def test_p_of_the_block_test_counts_the_observed_order() -> None:
    true = noise(40, 8, 0)
    found = statistics.block_permutation_test(true, true, 4, draws=99)
    assert found.floor == 0.01
    assert found.p >= found.floor


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
