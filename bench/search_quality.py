"""Quality of text search over predicted embeddings: fidelity, and 'no clear match'."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from report import heading, table, write

from nerv_clip import InputError
from nerv_clip.cli import main_guard
from nerv_clip.demo import labelled_queries, read_labels
from nerv_clip.demo.captions import query
from nerv_clip.demo.facts import PAIRS, facts_of
from nerv_clip.search import LabelledQuery, TrainedRun, fidelity, load_run, summary
from nerv_clip.search.relevancy import THRESHOLD

RARE = 5  # things in fewer frames count neither as present nor as absent


def matched(run: TrainedRun, labels: Path) -> list[dict[str, str]]:
    """Share of clear matches among things that the video shows, and among things it does not."""
    shown = [facts_of(frame) for frame in read_labels(labels)]
    counts = {pair: sum(pair in frame for frame in shown) for pair in PAIRS}
    groups = {
        "present": [pair for pair, count in counts.items() if count >= RARE],
        "absent": [pair for pair, count in counts.items() if not count],
    }
    rows = []
    for name, pairs in groups.items():
        answers = {pair: run.search(query(pair)) for pair in pairs}
        clear = [pair for pair, answer in answers.items() if answer.match]
        by_true = [pair for pair in pairs if matches_true(run, query(pair))]
        wrong = sorted(set(pairs) - set(clear) if name == "present" else clear)
        rows.append(
            {
                "things (colour + object)": f"{name} ({len(pairs)})",
                "clear match": f"{len(clear) / len(pairs):.3f}",
                "no clear match": f"{1 - len(clear) / len(pairs):.3f}",
                "clear match by true embeddings": f"{len(by_true) / len(pairs):.3f}",
                "against the labels": ", ".join(wrong) or "none",
            }
        )
    return rows


def matches_true(run: TrainedRun, text: str) -> bool:
    """Whether a text has a clear match among the true embeddings, by the rule of the search."""
    scores = run.true_scores(run.query_encoder.encode_text(text))
    if scores is None:
        raise InputError(f"{run.run.path} has no true.npy: evaluate it again with --clip_model")
    return bool(np.nanmax(scores.relevancy) > THRESHOLD)


def means(frame: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of `summary`, with three digits."""
    return [
        {
            str(name): value
            if isinstance(value, str)
            else ("–" if np.isnan(value) else f"{value:.3f}")
            for name, value in row.items()
        }
        for row in summary(frame).to_dict("records")
    ]


def worst(frame: pd.DataFrame) -> list[dict[str, str]]:
    """The queries with the lowest rank correlation of predicted and true scores."""
    own = frame[(frame["index"] == "predicted") & (frame["frames"] == "all")]
    kept = own.nsmallest(6, "spearman")[["query", "spearman", "shortfall", "ap", "iou"]]
    return [
        {str(k): v if isinstance(v, str) else f"{v:.3f}" for k, v in row.items()}
        for row in kept.to_dict("records")
    ]


def main(argv: list[str]) -> None:
    """Print the tables of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--labels", type=Path, default=Path("data/Kitchen/labels.json"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    run = load_run(args.run)
    queries = [LabelledQuery(*item) for item in labelled_queries(args.labels).items()]
    found = fidelity(run, queries)
    text = "# Search\n\n" + heading(__doc__)
    text += f"Means over {len(queries)} queries by the labels that occur; columns as in "
    text += "`nerv_clip.search.fidelity`; `ap` and `iou` use the renderer's labels.\n\n"
    text += table(means(found))
    text += "\nThe queries with the lowest rank correlation:\n\n" + table(worst(found))
    text += "\nClear matches:\n\n" + table(matched(run, args.labels))
    write(args.out, text)


if __name__ == "__main__":
    main_guard(main)
