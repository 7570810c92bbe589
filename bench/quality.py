"""PSNR of our presets, of HNeRV and of HiNeRV, at equal size and equal epochs, on one video.

Each row is trained once and stored in a JSON file with its commit, and the table is printed from
that file: a long measurement can be interrupted and resumed, and rows can be added. Our networks
are named by a preset, optionally with flags: ``--networks fast 'fast --loss L2'`` shows the effect
of a flag.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hinerv import HinervTraining, Recipe, load_hinerv
from ours import OurTraining
from public import RATES, PublicTraining, load_public
from report import COMMIT, heading, machine, short, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import InputError, load_video, split_frames
from nerv_clip.cli import main_guard, parse
from nerv_clip.evaluation.baseline_frames import blend
from nerv_clip.files import atomic_write, make_folder
from nerv_clip.metrics import ms_ssim, psnr
from nerv_clip.training.distributed import resolve_device
from nerv_clip.video.video import Video

PUBLIC = {f"public-{loss}": (loss, rate) for loss, rate in RATES.items()}
HINERV: dict[str, Recipe] = {"hinerv": "own", "hinerv-recipe": "ours"}  # by its recipe, by ours
NAMED = ("network", "size", "epochs", "seed", "split")
DEFINITIONS = """PSNR and MS-SSIM are means over frames. Decoded frames are not rounded to 8 bits.
The seconds of an epoch are the median of a training, without evaluation.

Each row was trained by the same command with its network, size, epochs and seed, at its commit; `+`
after a commit marks uncommitted changes.

"""
MOVING = 32  # dB: held-out frames whose blend of neighbours is below this count as moving


def main(argv: list[str]) -> None:
    """Train the missing rows, and print all rows."""
    args = parse_arguments(argv)
    video_flags = ["--data_path", str(args.data_path)]
    video_flags += ["--crop_list", args.crop_list, "--resize_list", args.resize_list]
    video_flags += ["--device", args.device]
    video = load_video(parse(video_flags).data, device=resolve_device(args.device))
    frames = video.read(range(len(video)))
    for size, epochs, seed, network in itertools.product(
        args.sizes, args.epochs, args.seeds, args.networks
    ):
        key = {"network": network, "size": size, "epochs": epochs, "seed": seed}
        key |= {"split": args.data_split, "clip": video.hash}
        if any(key.items() <= row.items() for row in rows_of(args.rows)):
            continue
        training = training_of(args, key, frames, video_flags)
        progress = tqdm(training.fit(), total=epochs, unit="epoch", desc=f"{network} {size} M")
        seconds = list(progress)
        row = key | {"parameters": training.parameters, "commit": COMMIT}
        row["epoch_seconds"] = round(statistics.median(seconds), 3)
        row["machine"] = machine(args.device)  # sums differ with threads, in the last digits
        row |= scores(training.decode()[0], video, args.data_split)
        with atomic_write(args.rows) as partial:
            partial.write_text(json.dumps([*rows_of(args.rows), row], indent=1) + "\n")
        if args.models and isinstance(training, OurTraining):
            name = "-".join(str(key[part]) for part in NAMED).replace(" ", "_")
            training.export(args.models / f"{name}.pth")
    rows = chosen(args, video)
    text = heading(__doc__, args.device) + DEFINITIONS + table([columns(row, rows) for row in rows])
    if means := over_seeds(rows):
        text += "\n## Over seeds: mean (minimum – maximum)\n\n" + table(means)
    write(args.out, text)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, help="a checkout of HNeRV, for its networks")
    parser.add_argument("--hinerv", type=Path, help="a checkout of HiNeRV, for its networks")
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--crop_list", default="640_1280")
    parser.add_argument("--resize_list", default="160_320")
    parser.add_argument("--data_split", default="1_1_1")
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.35, 0.75])
    parser.add_argument("--epochs", type=int, nargs="+", default=[40, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--networks",
        nargs="+",
        required=True,
        help=f"{', '.join([*PUBLIC, *HINERV])}, or our presets",
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rows", type=Path, required=True, help="JSON file that stores the rows")
    parser.add_argument(
        "--models", type=Path, help="a folder for the checkpoints of our newly trained rows"
    )
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    if args.models:
        make_folder(args.models)
    if not args.public and any(network in PUBLIC for network in args.networks):
        raise InputError(
            "--public: give a checkout of haochen-rye/HNeRV, or leave out its networks"
        )
    if not args.hinerv and any(network in HINERV for network in args.networks):
        raise InputError("--hinerv: give a checkout of hmkx/HiNeRV, or leave out its networks")
    return args


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    return rows


def training_of(
    args: argparse.Namespace, key: dict[str, Any], frames: Tensor, video_flags: list[str]
) -> PublicTraining | HinervTraining | OurTraining:
    size, epochs, seed = key["size"], key["epochs"], key["seed"]
    if key["network"] in (*PUBLIC, *HINERV) and key["split"] != "1_1_1":
        raise InputError("public networks have no held-out frames: use --data_split 1_1_1")
    if key["network"] in HINERV:
        found = load_hinerv(args.hinerv)
        return HinervTraining(found, frames, size, HINERV[key["network"]], epochs, seed)
    if key["network"] in PUBLIC:
        loss, lr = PUBLIC[key["network"]]
        modules = load_public(args.public)
        return PublicTraining(modules, frames, size, loss, lr, epochs, 2, seed)
    flags = ["--modelsize", str(key["size"]), "-b", "2", "-e", str(key["epochs"])]
    flags += ["--manualSeed", str(key["seed"]), "--data_split", key["split"]]
    return OurTraining([*video_flags, *flags, "--preset", *shlex.split(key["network"])])


def scores(drawn: Tensor, video: Video, rule: str) -> dict[str, float]:
    """PSNR in dB and MS-SSIM of train frames; PSNR of held-out frames and of their blend."""
    frames = video.read(range(len(video)))
    split = split_frames(len(video), rule)
    train = [i for i, part in enumerate(split) if part == "train"]
    held = [i for i, part in enumerate(split) if part == "val"]
    result = {"psnr": each(psnr, drawn, frames, train).mean().item()}
    result["ms_ssim"] = each(ms_ssim, drawn, frames, train).mean().item()
    if held:
        mixed = torch.cat([blended(video, i, train) for i in held])
        ours, theirs = (each(psnr, x, frames[held], range(len(held))) for x in (drawn[held], mixed))
        moving = theirs < MOVING
        result |= {"held_psnr": ours.mean().item(), "blend": theirs.mean().item()}
        result |= {"moving": int(moving.sum()), "moving_psnr": ours[moving].mean().item()}
        result["moving_blend"] = theirs[moving].mean().item()
    return {name: round(value, 4) for name, value in result.items()}


def blended(video: Video, index: int, train: list[int]) -> Tensor:
    mixed = blend(video, index, train, video.device)
    assert mixed is not None  # noqa: S101 - there are train frames
    return mixed


def each(
    metric: Callable[[Tensor, Tensor], Tensor],
    drawn: Tensor,
    frames: Tensor,
    indices: Sequence[int],
) -> Tensor:
    return torch.cat([metric(drawn[[i]], frames[[i]].float() / 255) for i in indices]).cpu()


def chosen(args: argparse.Namespace, video: Video) -> list[dict[str, Any]]:
    these = {"split": args.data_split, "clip": video.hash}
    rows = [row for row in rows_of(args.rows) if these.items() <= row.items()]
    return sorted(rows, key=lambda r: (r["size"], r["epochs"], r["seed"], r["network"]))


def gain(row: dict[str, Any], rows: list[dict[str, Any]]) -> float | None:
    """PSNR in dB above the better public network of the same size, epochs and seed."""
    public = [
        other["psnr"]
        for other in rows
        if other["network"] in PUBLIC and all(other[k] == row[k] for k in NAMED[1:])
    ]
    return row["psnr"] - max(public) if public else None


def over_seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line for each network that was trained with several seeds."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[k] for k in ("network", "size", "epochs")), []).append(row)
    lines = []
    for (network, size, epochs), group in found.items():
        if len(group) > 1:
            gains = [g for row in group if (g := gain(row, rows)) is not None]
            cells = {"network": network, "size": f"{size} M", "epochs": epochs}
            cells["seeds"] = " ".join(str(row["seed"]) for row in group)
            cells["PSNR seen"] = mean_and_range([row["psnr"] for row in group])
            cells["MS-SSIM seen"] = mean_and_range([row["ms_ssim"] for row in group], "{:.4f}")
            cells["over the better public"] = mean_and_range(gains, "{:+.2f}") if gains else "–"
            lines.append(cells)
    return lines


def mean_and_range(values: list[float], form: str = "{:.2f}") -> str:
    return f"{form} ({form} – {form})".format(statistics.fmean(values), min(values), max(values))


def columns(row: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of the printed table."""
    gained = gain(row, rows)
    cells = {
        "network": row["network"],
        "size": f"{row['size']} M",
        "epochs": row["epochs"],
        "seed": row["seed"],
        "parameters": row["parameters"],
        "seconds an epoch": f"{row['epoch_seconds']:.1f}" if "epoch_seconds" in row else "–",
        "PSNR seen": f"{row['psnr']:.2f}",
        "MS-SSIM seen": f"{row['ms_ssim']:.4f}",
    }
    if row["split"] == "1_1_1":
        cells["over the better public"] = "–" if gained is None else f"{gained:+.2f}"
    else:
        cells["held out (blend)"] = f"{row['held_psnr']:.2f} ({row['blend']:.2f})"
        cells[f"held out where the blend is under {MOVING} dB"] = (
            f"{row['moving_psnr']:.2f} ({row['moving_blend']:.2f}; {row['moving']} frames)"
        )
    return cells | {"machine": row["machine"], "commit": short(row["commit"])}


if __name__ == "__main__":
    main_guard(main)
