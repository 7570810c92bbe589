"""Mean average precision of text queries over predicted and over true embeddings."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from report import check_all_embedded, heading, table, write
from torch import Tensor

from nerv_clip import InputError, Run, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.demo import read_labels, scores
from nerv_clip.demo.facts import fact_matrix, facts_of


def unit(path: Path) -> Tensor:
    """Stored embeddings (T, D), normalised to unit length."""
    return torch.nn.functional.normalize(torch.from_numpy(np.load(path)).float(), dim=1)


def rows(run: Run, labels: Path, clip_model: str) -> list[dict[str, str]]:
    """A row for every split and group of queries."""
    if not run.predicted.exists():
        raise InputError(f"{run.path} has no predicted.npy: it was trained without a CLIP head")
    encoder = load_clip_encoder(clip_model)
    true = fact_matrix([facts_of(of_frame) for of_frame in read_labels(labels)])
    split = run.read_per_frame()["split"].to_numpy()
    check_all_embedded(run)
    out = []
    for name, part in (("seen", "train"), ("held out", "val")):
        chosen = split == part
        if not chosen.any():
            continue
        by_true, by_predicted = (
            scores.precision_by_query(encoder, unit(path)[chosen], true[chosen])
            for path in (run.true, run.predicted)
        )
        predicted_groups = scores.mean_by_group(by_predicted)
        pairs = {
            group: (score, predicted_groups[group].precision)
            for group, score in scores.mean_by_group(by_true).items()
        }
        precision, chance = np.mean(list(by_true.values()), 0)
        predicted, _ = np.mean(list(by_predicted.values()), 0)
        pairs["all"] = (scores.GroupScore(precision, chance, len(by_true)), predicted)
        frames = f"{name} ({chosen.sum()})"
        out += [_row(run, frames, group, *pair) for group, pair in pairs.items()]
    return out


def _row(
    run: Run, frames: str, group: str, by_true: scores.GroupScore, predicted: float
) -> dict[str, str]:
    return {
        "run": run.path.name,
        "frames": frames,
        "queries": f"{group} ({by_true.queries})",
        "mAP, true embeddings": f"{by_true.precision:.3f}",
        "mAP, predicted": f"{predicted:.3f}",
        "ratio": f"{predicted / by_true.precision:.3f}",
        "chance": f"{by_true.chance:.3f}",
    }


def main(argv: list[str]) -> None:
    """Print the table of the named runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--labels", type=Path, default=Path("data/Kitchen/labels.json"))
    parser.add_argument("--clip_model", default="demo")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    found = [row for path in args.runs for row in rows(Run(path), args.labels, args.clip_model)]
    note = "The renderer wrote the labels. 'All' is the mean over all queries.\n\n"
    write(args.out, "# Search in the kitchen\n\n" + heading(__doc__) + note + table(found))


if __name__ == "__main__":
    main_guard(main)
