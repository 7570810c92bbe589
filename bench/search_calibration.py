"""How often a search matches what a video shows, and what it does not, on unseen kitchens."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import permutations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from report import check_all_embedded, heading, table, write
from scipy.stats import rankdata
from tqdm import tqdm

from nerv_clip import InputError, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.demo import read_labels
from nerv_clip.demo.captions import plural, query
from nerv_clip.demo.facts import FACT_INDEX, PAIRS, STATES, fact_matrix, facts_of
from nerv_clip.demo.kitchen import LABELS
from nerv_clip.demo.model_folder import STATES as ENDINGS
from nerv_clip.demo.shapes import KINDS
from nerv_clip.search import load_run, spans
from nerv_clip.search.index import cosines
from nerv_clip.search.moments import BRIDGE
from nerv_clip.search.query import text_vector
from nerv_clip.search.relevancy import FALSE_MATCHES, THRESHOLD, Curve, Index, Scores, Vectors
from nerv_clip.search.trained_run import GRID, TrainedRun

FEW = 5  # frames: what is true of fewer, but not of none, counts neither as present nor as absent
MOST = 40  # queries of a form and a clip, drawn at random
TOGETHER = 20  # clips in a library
ALL_STATES = (*(name for pair in STATES.values() for name in pair), "hand", "pan on fire")
DRAWS = 500  # of the bootstrap over clips
Mask = NDArray[np.bool_]


BEST = ("relevancy", "z-score, as in 11f6003")


class Ask(NamedTuple):
    """A query of a form, with the frames (T,) that it is true of."""

    form: str
    text: str
    true: Mask


class Row(NamedTuple):
    """What became of a query: matched on predicted, on true embeddings, and by the old rule.

    For the moments of the predicted and of the true embeddings: whether each peak is in a labelled
    run of frames, and the distances in frames of its ends from the ends of that run. ``best`` are
    the highest relevancy and, as the first version printed it, the highest z-score of the cosine
    over the video.
    """

    clip: str
    form: str
    present: bool
    matched: tuple[bool, ...]
    right: tuple[list[bool], list[bool]]
    distances: tuple[list[float], list[float]]
    best: tuple[float, float]


def asked(facts: Mask, rng: np.random.Generator) -> list[Ask]:
    """The queries for a clip with the facts (T, F): for each form, at most `MOST`."""

    def true(name: str) -> Mask:
        return np.asarray(facts[:, FACT_INDEX[name]])

    def joined(thing: str, state: str) -> str:
        said = query(state)
        return f"{query(thing)} {said}" if said in ENDINGS else f"{query(thing)} and {said}"

    shown = [name for name in PAIRS if true(name).sum() >= FEW]
    absent = [name for name in PAIRS if not true(name).any()]
    states = [name for name in ALL_STATES if true(name).sum() >= FEW]
    asks = [Ask("thing", query(name), true(name)) for name in PAIRS]
    asks += [Ask("kind of thing", query(name), true(name)) for name in KINDS]
    asks += [Ask("a hand" if n == "hand" else "state", query(n), true(n)) for n in ALL_STATES]
    asks += [Ask("held thing", query(f"hold {n}"), true(f"hold {n}")) for n in PAIRS]
    asks += [Ask("two of a thing", f"two {plural(n)}", true(f"two {n}")) for n in PAIRS]
    asks += [
        Ask("absent thing and state", joined(a, s), true(a) & true(s))
        for a, s in product(absent, states)
    ]
    asks += [
        Ask("thing and state", joined(a, s), true(a) & true(s)) for a, s in product(shown, states)
    ]
    for a, b in permutations(shown, 2):
        asks.append(Ask("A and B", f"{query(a)} and {query(b)}", true(a) & true(b)))
        asks.append(Ask("A without B", f"{query(a)} without {query(b)}", true(a) & ~true(b)))
    for a, b in product(absent, shown):
        asks.append(Ask("A and absent B", f"{query(b)} and {query(a)}", true(a)))
        asks.append(Ask("absent A without B", f"{query(a)} without {query(b)}", true(a)))
    chosen, counts = [], dict[tuple[str, bool], int]()
    for index in rng.permutation(len(asks)):
        ask = asks[int(index)]
        key = (ask.form, bool(ask.true.any()))
        if 0 < ask.true.sum() < FEW or (counts.get(key, 0) >= MOST and ask.form != "thing"):
            continue
        counts[key] = counts.get(key, 0) + 1
        chosen.append(ask)
    return chosen


def labelled_runs(true: Mask) -> list[tuple[int, int]]:
    """First and last frame of the runs of true frames; those `BRIDGE` apart are one run."""
    at = np.flatnonzero(true)
    gaps = np.flatnonzero(np.diff(at) > BRIDGE)
    firsts, lasts = at[np.r_[0, gaps + 1]], at[np.r_[gaps, len(at) - 1]]
    return [(int(a), int(b)) for a, b in zip(firsts, lasts, strict=True)]


def compared(scores: Scores, grid: int, true: Mask) -> tuple[list[bool], list[float]]:
    """Whether the peak of each clear moment is in a labelled run, and its distances from the ends.

    Ends of runs at the ends of the video are left out: no moment can miss them outwards.
    """
    right, distances = list[bool](), list[float]()
    if true.any() and scores.relevancy.max() > THRESHOLD:
        for span in spans(scores.relevancy, THRESHOLD, scores.edge, grid):
            runs = [r for r in labelled_runs(true) if r[0] <= round(span.peak / grid) <= r[1]]
            right.append(bool(runs))
            for first, last in runs:
                distances += [abs(span.start / grid - first)] if first > 0 else []
                distances += [abs(span.end / grid - last)] if last < len(true) - 1 else []
    return right, distances


class OldRule:
    """The rule of commit 11f6003: one threshold for all queries, from texts such as 'two red mugs'.

    The whole text is one term, except after a minus sign.
    """

    def __init__(self) -> None:
        self.encoder = load_clip_encoder("demo")
        self.encoder.words = None  # "two" was a canonical text, and is refused now
        self.vector = cache(partial(text_vector, self.encoder))
        self.canonical = np.stack([self.vector(text) for text in ("two", "a pair of")])
        self.unrelated = np.stack([self.vector(f"two {plural(pair)}") for pair in PAIRS])

    def level(self, index: Index) -> tuple[Curve, float]:
        """The background (N, 1) of an index, and its threshold."""
        background = cosines(index, self.canonical).max(1, keepdims=True)
        best = self._relevancy(index, self.unrelated, background).max(0)
        return background, float(np.quantile(best, 0.95))

    def matches(self, index: Index, level: tuple[Curve, float], text: str) -> bool:
        """Whether a text, with "without" for a minus sign, has a clear match."""
        vectors = np.stack([self.vector(term) for term in text.split(" without ")])
        values = self._relevancy(index, vectors, level[0])
        values[:, 1:] = 1 - values[:, 1:]
        return bool(np.exp(np.log(values).mean(1)).max() > level[1])

    @staticmethod
    def _relevancy(index: Index, vectors: Vectors, background: Curve) -> Curve:
        return np.asarray(1 / (1 + np.exp(-10 * (cosines(index, vectors) - background))))


def labelled_paths(folder: Path, least: int = 1) -> list[Path]:
    """The run directories with ``labels.json`` in a folder; there have to be ``least``."""
    paths = sorted(path.parent for path in folder.glob(f"*/{LABELS}"))
    if len(paths) < least:
        raise InputError(f"{folder} has {len(paths)} runs with {LABELS}: at least {least} needed")
    return paths


def facts_at(path: Path) -> Mask:
    """The facts (T, F) of a run's video."""
    return fact_matrix([facts_of(labels) for labels in read_labels(path / LABELS)])


def rows_of(run: TrainedRun, old: OldRule) -> Iterator[Row]:
    """Ask everything of one clip; ``labels.json`` lies in the run directory."""
    path = run.run.path
    facts = facts_at(path)
    level = old.level(run.index())
    for ask in asked(facts, np.random.default_rng(int(path.name))):
        encoded = run.query_encoder.encode_text(ask.text)
        predicted, true = run.scores(encoded), run.true_scores(encoded)
        if true is None:
            raise InputError(f"{path} has no true.npy: evaluate it again")
        check_all_embedded(run.run)
        matched = [bool(scores.relevancy.max() > THRESHOLD) for scores in (predicted, true)]
        found = [compared(predicted, GRID, ask.true), compared(true, 1, ask.true)]
        yield Row(
            path.name,
            ask.form,
            bool(ask.true.any()),
            (*matched, old.matches(run.index(), level, ask.text)),
            (found[0][0], found[1][0]),
            (found[0][1], found[1][1]),
            (float(predicted.relevancy.max()), z_score(predicted.cosine)),
        )


def z_score(cosine: Curve) -> float:
    """The z-score of the highest cosine over the video."""
    return float((cosine.max() - cosine.mean()) / cosine.std())


def interval(rows: Sequence[Row], statistic: Callable[[Sequence[Row]], float]) -> str:
    """A statistic of rows with its 95 % interval, by a bootstrap over clips."""
    by_clip: dict[str, list[Row]] = {}
    for row in rows:
        by_clip.setdefault(row.clip, []).append(row)
    parts, rng = list(by_clip.values()), np.random.default_rng(0)
    draws = [
        statistic([row for at in rng.integers(len(parts), size=len(parts)) for row in parts[at]])
        for _ in range(DRAWS)
    ]
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return f"{statistic(rows):.3f} ({low:.3f} to {high:.3f})"


def share(of: Callable[[Row, int], Sequence[bool]], at: int) -> Callable[[Sequence[Row]], float]:
    """The share of true values among those of all rows; NaN where there is none."""

    def statistic(rows: Sequence[Row]) -> float:
        values = [value for row in rows for value in of(row, at)]
        return float(np.mean(values)) if values else np.nan

    return statistic


def matched(row: Row, at: int) -> list[bool]:
    """Whether there is a clear match on predicted (0), on true (1) embeddings, by the old rule."""
    return [row.matched[at]]


def matched_absent(row: Row, at: int) -> list[bool]:
    """The same for what is absent only."""
    return [] if row.present else [row.matched[at]]


def matched_present(row: Row, at: int) -> list[bool]:
    """The same for what is present only."""
    return [row.matched[at]] if row.present else []


def present_matched(row: Row, at: int) -> list[bool]:
    """Whether what is matched is present."""
    return [row.present] if row.matched[at] else []


def peaks(row: Row, at: int) -> list[bool]:
    """Whether the peak of each moment is in a labelled run."""
    return row.right[at]


def close(row: Row, at: int) -> list[bool]:
    """Whether each end of a moment is within 5 frames."""
    return [distance <= 5 for distance in row.distances[at]]


def match_table(rows: Sequence[Row], present: bool) -> list[dict[str, str | int]]:
    """A row for each form: shares of queries with a clear match."""
    lines: list[dict[str, str | int]] = []
    for form in dict.fromkeys(sorted(row.form for row in rows)):
        chosen = [row for row in rows if row.form == form and row.present == present]
        if chosen:
            predicted, true, old = (interval(chosen, share(matched, at)) for at in range(3))
            lines.append(
                {
                    "form": form,
                    "queries": len(chosen),
                    "predicted": predicted,
                    "true embeddings": true,
                    "predicted, rule of 11f6003": old,
                }
            )
    return lines


def quantile(at: int, level: float) -> Callable[[Sequence[Row]], float]:
    """A quantile of the distances of moments on predicted (0) or on true (1) embeddings."""

    def statistic(rows: Sequence[Row]) -> float:
        values = [value for row in rows for value in row.distances[at]]
        return float(np.quantile(values, level)) if values else np.nan

    return statistic


def moment_table(rows: Sequence[Row]) -> list[dict[str, str | int]]:
    """A row for each form and index: right peaks, and distances of ends, in frames."""
    lines: list[dict[str, str | int]] = []
    forms = dict.fromkeys(sorted(row.form for row in rows if row.present))
    for form, (at, name) in product(("all", *forms), enumerate(("predicted", "true"))):
        chosen = [r for r in rows if r.present and form in ("all", r.form)]
        lines.append(
            {
                "form": form,
                "embeddings": name,
                "moments": sum(len(row.right[at]) for row in chosen),
                "peak in a labelled run": interval(chosen, share(peaks, at)),
                "median": interval(chosen, quantile(at, 0.5)),
                "95 %": interval(chosen, quantile(at, 0.95)),
                "within 5 frames": interval(chosen, share(close, at)),
            }
        )
    return lines


def in_any_clip(share_of_one: Callable[[Sequence[Row]], float]) -> Callable[[Sequence[Row]], float]:
    """The chance of one event or more in `TOGETHER` clips, from its share in one."""
    return lambda rows: 1 - (1 - share_of_one(rows)) ** TOGETHER


def library_table(single: Sequence[Row], together: Sequence[Row]) -> list[dict[str, str]]:
    """Things in a library of `TOGETHER` clips, with and without the correction for their number."""
    lines = []
    for name, rows in (("level of one clip", single), (f"level of {TOGETHER} clips", together)):
        things = [row for row in rows if row.form == "thing"]
        for at, embeddings in enumerate(("predicted", "true")):
            false = share(matched_absent, at)
            lines.append(
                {
                    "threshold": name,
                    "embeddings": embeddings,
                    "absent things matched in a clip": interval(things, false),
                    f"in any of {TOGETHER} clips": interval(things, in_any_clip(false)),
                    "present things matched": interval(things, share(matched_present, at)),
                    "precision": interval(things, share(present_matched, at)),
                }
            )
    return lines


def separation(at: int) -> Callable[[Sequence[Row]], float]:
    """Area under the ROC curve: how often a present query scores above an absent one."""

    def statistic(rows: Sequence[Row]) -> float:
        present, absent = (
            np.array([row.best[at] for row in rows if row.present is there])
            for there in (True, False)
        )
        rank = rankdata(np.concatenate([present, absent]))[: len(present)].mean()
        return float((rank - (len(present) + 1) / 2) / len(absent))

    return statistic


def separation_table(rows: Sequence[Row]) -> list[dict[str, str]]:
    """A row for each form that has present and absent queries: the area under the ROC curve."""
    found = []
    for form in sorted({row.form for row in rows}):
        chosen = [row for row in rows if row.form == form]
        if len({row.present for row in chosen}) == 2:
            areas = {name: interval(chosen, separation(i)) for i, name in enumerate(BEST)}
            found.append({"form": form, **areas})
    return found


def report(rows: Sequence[Row], together: Sequence[Row]) -> str:
    """The results as Markdown."""
    clips = len({row.clip for row in rows})
    return (
        f"{clips} clips of 300 frames, rendered kitchens on which neither the demo encoder nor "
        "the rule of the search was tuned. The labels say of which frames a query is true: of "
        f"none (absent), or of {FEW} or more (present). At most {MOST} queries of a form and a "
        "clip, drawn at random; all things. Shares with 95 % intervals by a bootstrap over clips. "
        f"The search aims for {100 * FALSE_MATCHES:.0f} % false matches in one clip, to stay "
        "below 5 %.\n\n"
        "## Absent: share with a clear match\n\n" + table(match_table(rows, present=False)) +
        "\n## Present: share with a clear match\n\n" + table(match_table(rows, present=True)) +
        "\n## Does the score separate present from absent queries?\n\nArea under the ROC curve of "
        "the highest score over the video, all clips together; 0.5 is chance.\n\n"
        + table(separation_table(rows)) +
        f"\n## Things in a library of {TOGETHER} clips\n\nThe share in any clip is "
        f"1 - (1 - p)^{TOGETHER}, where p is the share in one clip; a thing that is absent from "
        "all clips is rare among these kitchens.\n\n" + table(library_table(rows, together)) +
        "\n## Moments of present queries\n\nLabelled frames at most "
        f"{BRIDGE:.0f} frames apart are one run. A moment belongs to the run that contains its "
        "peak; distances in frames from the ends of that run, but not from those at the ends of "
        "the video.\n\n" + table(moment_table(rows))
    )  # fmt: skip


def main(argv: list[str]) -> None:
    """Ask all clips twice: each alone, and as one of a library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="runs of kitchens, with labels.json in each")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    paths = labelled_paths(args.folder)
    shared, old = load_run(paths[0]).query_encoder, OldRule()
    single, together = list[Row](), list[Row]()
    for path in tqdm(paths):
        run = load_run(path, query_encoder=shared)
        for run.clips, rows in ((1, single), (TOGETHER, together)):
            rows += rows_of(run, old)
    text = "# Calibration of search\n\n" + heading(__doc__) + report(single, together)
    write(args.out, text)


if __name__ == "__main__":
    main_guard(main)
