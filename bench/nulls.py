"""False positives and power of the test of the verdict, on simulated and on real embeddings.

A false positive is a significant test (nominal level 5 %) of an independent guess: a sequence of
the same kind as the true one, drawn on its own. Every fourth frame is held out, as by the split
3_3_4. Each draw has eight latent sequences, mapped into unit embeddings of 64 dimensions.
'Undecidable' is the share of draws in which the verdict gives no result because no valid test is
possible. Two tests of the former rule stand beside: circular shifts, and permuted blocks of
the autocorrelation time, on the embeddings of all frames.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import heading, table, write

from nerv_clip.cli import Terminal, main_guard
from nerv_clip.similarity import Array, unit
from nerv_clip.verification.evidence import gather
from nerv_clip.verification.statistics import (
    Resamples,
    ShiftTest,
    block_length,
    bootstrap,
    bootstrap_interval,
    local_deviations,
    mean_cosine_by_shift,
    shift_test,
    shuffled_blocks,
)
from nerv_clip.verification.verdict import MIN_EFFECTIVE, SIGNIFICANCE

LENGTHS = (60, 132, 300)
LATENTS, DIM = 8, 64
BLOCK_DRAWS = 199
Pair = tuple[Array, Array]
Draw = Callable[[np.random.Generator, int, int], Pair]  # rng, frames, latents: both sequences


def autoregressive(rng: np.random.Generator, frames: int, latents: int, memory: float) -> Array:
    """Sequences (T, K) of variance 1 with the autocorrelation ``memory``."""
    noise: Array = rng.standard_normal((frames, latents))
    values = noise.copy()
    for t in range(1, frames):
        values[t] = memory * values[t - 1] + math.sqrt(1 - memory**2) * noise[t]
    return values


def twice(make: Callable[[np.random.Generator, int, int], Array]) -> Draw:
    """Two independent sequences."""
    return lambda rng, frames, latents: (make(rng, frames, latents), make(rng, frames, latents))


def walk(rng: np.random.Generator, frames: int, latents: int) -> Array:
    """A random walk, of variance 1 at its end."""
    steps: Array = rng.standard_normal((frames, latents)) / math.sqrt(frames)
    return np.asarray(steps.cumsum(0))


def trend(rng: np.random.Generator, frames: int, latents: int) -> Array:
    """A linear trend in a direction of its own, with noise."""
    noise = 0.5 * autoregressive(rng, frames, latents, 0.9)
    course = 3 * np.linspace(0, 1, frames)[:, None] * rng.standard_normal(latents)
    return np.asarray(course + noise)


def same_trend(shape: Callable[[Array], Array]) -> Draw:
    """Both sequences follow ``shape`` in the same direction, each with its own noise."""

    def draw(rng: np.random.Generator, frames: int, latents: int) -> Pair:
        course = 3 * shape(np.linspace(0, 1, frames))[:, None] * rng.standard_normal(latents)
        noises = (0.5 * autoregressive(rng, frames, latents, 0.9) for _ in range(2))
        return course + next(noises), course + next(noises)

    return draw


def periodic(noise: float) -> Draw:
    """Both sequences have the same three to eight periods, each with phases of its own."""

    def draw(rng: np.random.Generator, frames: int, latents: int) -> Pair:
        turns = 2 * math.pi * rng.uniform(3, 8) * np.linspace(0, 1, frames)[:, None]

        def one() -> Array:
            a, b = rng.standard_normal((2, latents))
            own = noise * rng.standard_normal((frames, latents))
            return np.asarray(np.cos(turns) * a + np.sin(turns) * b + own)

        return one(), one()

    return draw


def scenes(count: int, *, same_cuts: bool = False) -> Draw:
    """``count`` scenes with random embeddings and a little noise; cuts at random frames."""

    def draw(rng: np.random.Generator, frames: int, latents: int) -> Pair:
        def scene_numbers() -> NDArray[np.intp]:
            cuts = np.sort(rng.choice(np.arange(1, frames), count - 1, replace=False))
            return np.searchsorted(cuts, np.arange(frames), side="right")

        first = scene_numbers()
        second = first if same_cuts else scene_numbers()

        def one(numbers: NDArray[np.intp]) -> Array:
            levels: Array = rng.standard_normal((count, latents))
            return levels[numbers] + 0.3 * rng.standard_normal((frames, latents))

        return one(first), one(second)

    return draw


def correlated(rng: np.random.Generator, frames: int, latents: int) -> Pair:
    """Two autoregressive sequences (.9) with the correlation .5."""
    true, other = (autoregressive(rng, frames, latents, 0.9) for _ in range(2))
    return 0.5 * true + math.sqrt(0.75) * other, true


KINDS: dict[str, Draw] = {
    "white noise": twice(lambda rng, frames, latents: rng.standard_normal((frames, latents))),
    **{
        f"AR(1), {memory}": twice(partial(autoregressive, memory=memory))
        for memory in (0.9, 0.97, 0.99)
    },
    "random walk": twice(walk),
    "own linear trends": twice(trend),
    "the same linear trend": same_trend(lambda t: t),
    "the same trend, day to night": same_trend(lambda t: 1 / (1 + np.exp((t - 0.5) / 0.08))),
    "the same trend, a day": same_trend(lambda t: np.sin(np.pi * t) ** 2),
    "periodic": periodic(0.01),
    "periodic, with noise": periodic(0.1),
    "one cut": scenes(2),
    "one cut, at the same time": scenes(2, same_cuts=True),
    "five scenes": scenes(5),
    "five scenes, the same cuts": scenes(5, same_cuts=True),
    "twelve scenes": scenes(12),
    "twelve scenes, the same cuts": scenes(12, same_cuts=True),
}


def embeddings(rng: np.random.Generator, latents: Pair) -> Pair:
    """Unit embeddings (T, DIM) of two latent sequences: a common mean, and random directions."""
    count = latents[0].shape[1]
    basis = 0.3 * np.linalg.qr(rng.standard_normal((DIM, count)))[0].T
    mean = rng.standard_normal(DIM)
    mean /= np.linalg.norm(mean)
    return unit(mean + latents[0] @ basis), unit(mean + latents[1] @ basis)


def tested(predicted: Array, true: Array) -> ShiftTest:
    """The test of the verdict, with every fourth frame held out."""
    held_out = range(3, len(true), 4)
    return shift_test(*(local_deviations(values, held_out, 2) for values in (predicted, true)))


def decidable(test: ShiftTest) -> bool:
    """Whether the verdict uses the test."""
    return test.floor < SIGNIFICANCE and test.effective >= MIN_EFFECTIVE


def by_shifts(predicted: Array, true: Array) -> bool:
    """Whether circular shifts of the embeddings themselves are significant (former rule)."""
    means = mean_cosine_by_shift(predicted, true)
    return float((means >= means[0] - 1e-9).mean()) < SIGNIFICANCE


def by_blocks(predicted: Array, true: Array, rng: np.random.Generator) -> bool:
    """Whether permuted blocks are significant (former rule)."""
    similarity = unit(predicted) @ unit(true).T
    rows, length = np.arange(len(true)), block_length(true)
    reached = 1
    for _ in range(BLOCK_DRAWS):
        order = shuffled_blocks(len(true), length, rng)
        reached += similarity[rows, order].mean() >= np.trace(similarity) / len(true) - 1e-12
    return reached / (BLOCK_DRAWS + 1) < SIGNIFICANCE


def rates(draw: Draw, frames: int, latents: int, draws: int) -> tuple[float, ...]:
    """Significant and undecidable by the verdict's test; significant by the two former ones."""
    rng = np.random.default_rng(frames)
    found = []
    for _ in range(draws):
        pair = embeddings(rng, draw(rng, frames, latents))
        test = tested(*pair)
        found.append(
            (
                decidable(test) and test.p < SIGNIFICANCE,
                not decidable(test),
                by_shifts(*pair),
                by_blocks(*pair, rng),
            )
        )
    return tuple(float(rate) for rate in np.mean(found, axis=0))


def false_positives(draws: int) -> list[dict[str, str]]:
    """A row for each kind of sequence, with the rates at each length."""
    rows = []
    with Terminal().task("simulating", len(KINDS) * len(LENGTHS), "setting") as task:
        for kind, draw in KINDS.items():
            row = {"independent guess": kind}
            former = {}
            for frames in LENGTHS:
                positive, undecidable, shifts, blocks = rates(draw, frames, LATENTS, draws)
                row[f"{frames} frames"] = f"{positive:.3f}"
                row[f"undecidable, {frames}"] = f"{undecidable:.2f}"
                former[f"former: shifts, blocks, {frames}"] = f"{shifts:.2f}, {blocks:.2f}"
                task.advance()
            rows.append(row | former)
    return rows


def power(draws: int) -> list[dict[str, str]]:
    """Significant tests of AR(1) sequences of .9 with the latent correlation .5."""
    rows = []
    for latents in (1, 3, LATENTS):
        row = {"latent sequences": str(latents)}
        for frames in LENGTHS:
            positive, undecidable, *_ = rates(correlated, frames, latents, draws)
            row[f"{frames} frames"] = f"{positive:.3f} (undecidable {undecidable:.2f})"
        rows.append(row)
    return rows


def on_a_run(checkpoint: Path, draws: int) -> list[dict[str, str]]:
    """The test on a run's prediction, and rates for surrogates of its true embeddings.

    A surrogate has the principal components of the true embeddings, each with its spectrum and
    with random phases of its own (Theiler et al., 1992).
    """
    evidence = gather(checkpoint)
    true = evidence.true
    mean, rng = true.mean(0), np.random.default_rng(0)
    _, _, basis = np.linalg.svd(true - mean, full_matrices=False)
    spectrum = np.fft.rfft((true - mean) @ basis.T, axis=0)

    def surrogate() -> Array:
        turns = np.exp(2j * np.pi * rng.random(spectrum.shape))
        return np.asarray(np.fft.irfft(spectrum * turns, len(true), axis=0) @ basis)

    def rate(weight: float) -> str:
        found = []
        for _ in range(draws):
            mixed = weight * (true - mean) + math.sqrt(1 - weight**2) * surrogate()
            test = tested(unit(mean + mixed), true)
            found.append(decidable(test) and test.p < SIGNIFICANCE)
        return f"significant: {np.mean(found):.3f}"

    own = tested(evidence.predicted.astype(np.float64), true)
    return [
        {
            "guess": "the run's own prediction",
            "result": f"p = {own.p:.4f}, floor {own.floor:.4f}, {own.effective:.1f} pairs",
        },
        {"guess": "an independent surrogate", "result": rate(0.0)},
        {"guess": "a surrogate mixed with the truth, correlation .5", "result": rate(0.5)},
    ]


def coverage(draws: int) -> list[dict[str, str]]:
    """Share of 95 % intervals that contain the true mean, by percentiles and by Student's t."""
    rows = []
    for frames, block in ((33, 4), (33, 8), (75, 8), (75, 15), (150, 16)):
        resamples = bootstrap(frames, block)
        for memory in (0.0, 0.3, 0.5):
            rng = np.random.default_rng(0)
            found = []
            for _ in range(draws):
                values = autoregressive(rng, frames, 1, memory)[:, 0]
                interval = bootstrap_interval(values, resamples)
                low, high = _percentiles(values, resamples)
                found.append((low <= 0 <= high, interval.low <= 0 <= interval.high))
            percentile, student = np.mean(found, axis=0)
            rows.append(
                {
                    "frames": str(frames),
                    "block": str(block),
                    "autocorrelation": f"{memory:g}",
                    "percentiles": f"{percentile:.3f}",
                    "Student's t (used)": f"{student:.3f}",
                }
            )
    return rows


def _percentiles(values: Array, resamples: Resamples) -> tuple[float, float]:
    low, high = np.quantile(resamples.means(values), [0.025, 0.975])
    return float(low), float(high)


def main(argv: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run with held-out frames, split 3_3_4")
    parser.add_argument("--draws", type=int, default=600)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    doc = (__doc__ or "").strip().split("\n\n", 1)[1].replace("\n", " ")
    text = f"# The test of the verdict\n\n{heading(__doc__)}{doc} {args.draws} draws each.\n\n"
    text += "## False positives\n\n" + table(false_positives(args.draws))
    text += "\n## Power: AR(1) of .9, latent correlation .5\n\n" + table(power(args.draws))
    text += f"\n## On the embeddings of {args.run.name}\n\n"
    text += table(on_a_run(args.run / "model_best.pth", args.draws))
    text += "\n## Intervals\n\nShare of 95 % intervals that contain the true mean.\n\n"
    text += table(coverage(args.draws))
    write(args.out, text)


if __name__ == "__main__":
    main_guard(main)
