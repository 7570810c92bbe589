"""Verdicts on runs, and their held-out embeddings compared with interpolation."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from report import heading, table, write
from scipy import stats

from nerv_clip import NeRVClip, Run, load_model, verify
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.verification import Verification
from nerv_clip.verification.baselines import INTERPOLATIONS, NEAREST, PREDICTION
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.text_report import format_interval, size_cell

SHOWN = (PREDICTION, NEAREST, *INTERPOLATIONS, "teacher on the reconstruction")


def verified(run: Run, untrained: bool) -> Verification:
    """A run's verification; with ``untrained``, of a new network with the same architecture."""
    if not untrained:
        return verify(run.best, progress=Terminal())
    with tempfile.TemporaryDirectory() as folder:
        copy = Run(Path(folder))
        for path in (run.config, run.true, run.baselines):
            if path.exists():
                shutil.copy(path, copy.path)
        torch.manual_seed(1)
        arch = load_model(run.best).arch
        networks = [NeRVClip(s.network, with_encoder=False) for s in arch.segments]
        fresh = VideoNetwork(arch, networks)
        export_model(fresh, copy.best, {})
        return verify(copy.best, progress=Terminal())


def tests(name: str, v: Verification) -> dict[str, str]:
    """The row of a run in the table of verdicts: the test, and the reason."""
    return {
        "run": name,
        "verdict": f"**{v.verdict.label}**",
        "p of the shift test (floor)": f"{v.test.p:.4f} ({v.test.floor:.4f})",
        "independent pairs": f"{v.test.effective:.1f}",
        "effective sample size, held out": f"{v.splits['val'].effective_sample_size:.1f} of "
        f"{v.splits['val'].frames} frames",
        "why": v.verdict.sentence,
    }


def metric_rows(name: str, v: Verification, split: str) -> list[dict[str, str]]:
    """A row for the prediction and for each of its main baselines, with intervals."""
    rows = []
    for row in v.rows:
        found = row.measures.get(split)
        if row.name in SHOWN and found is not None:
            rows.append(
                {
                    "run": name,
                    "frames": "held out" if split == "val" else "seen",
                    "embedding": row.name,
                    "bytes": size_cell(row.size),
                    "cosine": format_interval(found.cosine),
                    "centred cosine": format_interval(found.centred),
                    "skill": format_interval(found.skill),
                    "R@1": f"{found.r1.mean:.3f}",
                    "R@±2": format_interval(found.near),
                    "CKA": f"{found.cka:.3f}",
                }
            )
    return rows


def over_clips(found: list[Verification]) -> list[dict[str, str]]:
    """Centred cosine of the prediction minus each interpolation, with intervals over videos."""
    rows = []
    for name in (NEAREST, *INTERPOLATIONS):
        means = np.array([v.differences["val"][name].mean for v in found])
        error = means.std(ddof=1) / np.sqrt(len(means))
        low, high = stats.t.interval(0.95, len(means) - 1, means.mean(), error)
        rows.append(
            {
                "prediction minus": name,
                "mean over videos": format_interval(Interval(means.mean(), low, high)),
                "below 0 in": f"{(means < 0).sum()} of {len(means)}",
            }
        )
    return rows


def main(argv: list[str]) -> None:
    """Print the tables of the named runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--untrained", type=Path, help="also an untrained network like this run's")
    parser.add_argument("--brief", action="store_true", help="means over the runs, not each table")
    parser.add_argument("--title", default="Verdicts")
    parser.add_argument("--trained", help="the command that trained the runs, to be printed")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    found = {path.name: verified(Run(path), untrained=False) for path in args.runs}
    if args.untrained:
        found[f"{args.untrained.name}, untrained"] = verified(Run(args.untrained), untrained=True)
    text = f"# {args.title}\n\n" + heading(__doc__) + table([tests(n, v) for n, v in found.items()])
    if args.trained:
        text += f"\nTrained by `{args.trained}`.\n"
    if args.brief:
        if len({v.evidence.config.video.hash for v in found.values()}) < len(found):
            write(args.out, text)  # one video has no mean over videos
            return
        text += (
            "\nCentred cosine on held-out frames; 95 % intervals by Student's t over videos.\n\n"
        )
        write(args.out, text + table(over_clips(list(found.values()))))
        return
    text += "\nMeans with 95 % intervals. 'Skill' is over the best of the mean "
    text += "train embedding, the nearest train frame and the interpolations.\n\n"
    text += table(
        [row for n, v in found.items() for p in ("train", "val") for row in metric_rows(n, v, p)]
    )
    write(args.out, text)


if __name__ == "__main__":
    main_guard(main)
