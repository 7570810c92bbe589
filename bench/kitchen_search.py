"""Mean average precision of text queries over predicted and over true embeddings."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from report import heading, table, write
from torch import Tensor

from nerv_clip import InputError, Run, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.demo import read_labels, scores
from nerv_clip.demo.facts import facts, truth


def unit(path: Path) -> Tensor:
    """Stored embeddings (T, D), normalised to unit length."""
    return torch.nn.functional.normalize(torch.from_numpy(np.load(path)).float(), dim=1)


def rows(run: Run, labels: Path, clip_model: str) -> list[dict[str, str]]:
    """A row for every split and group of queries: scores by true and by predicted embeddings."""
    if not run.predicted.exists():
        raise InputError(f"{run.path} has no predicted.npy: it was trained without a CLIP head")
    encoder = load_clip_encoder(clip_model)
    true = truth([facts(of_frame) for of_frame in read_labels(labels)])
    split = run.read_per_frame()["split"].to_numpy()
    out = []
    for name, part in (("seen", "train"), ("held out", "val")):
        chosen = split == part
        if not chosen.any():
            continue
        teacher, head = (
            scores.precision_by_query(encoder, unit(path)[chosen], true[chosen])
            for path in (run.true, run.predicted)
        )
        groups = [scores.mean_by_group(by_query) for by_query in (teacher, head)]
        for group in groups[0]:
            about = groups[0][group]
            by_true, by_predicted = about["map"], groups[1][group]["map"]
            out.append(_row(run, name, chosen.sum(), group, about, by_true, by_predicted))
        by_true, chance = np.mean(list(teacher.values()), 0)
        by_predicted, _ = np.mean(list(head.values()), 0)
        every = {"queries": len(teacher), "chance": chance}
        out.append(_row(run, name, chosen.sum(), "all", every, by_true, by_predicted))
    return out


def _row(
    run: Run,
    part: str,
    frames: int,
    group: str,
    about: dict[str, float],
    by_true: float,
    by_predicted: float,
) -> dict[str, str]:
    return {
        "run": run.path.name,
        "frames": f"{part} ({frames})",
        "queries": f"{group} ({about['queries']:.0f})",
        "mAP, true embeddings": f"{by_true:.3f}",
        "mAP, predicted": f"{by_predicted:.3f}",
        "ratio": f"{by_predicted / by_true:.3f}",
        "chance": f"{about['chance']:.3f}",
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
