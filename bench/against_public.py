"""Train ours and the public HNeRV and NeRV on one clip, an epoch of each in turn.

So noise of the machine falls on all alike: seconds are compared as ratios to HNeRV's in the same
round. All train with one loss, and all are scored on the same pixels after the last epoch.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from ours import OurTraining, alternate, spread
from public import PublicTraining, load_public
from report import heading, table, write

from nerv_clip import load_clip, main_guard, parse
from nerv_clip.metrics import ms_ssim, psnr

PUBLIC_LR = {"L2": 1e-3, "Fusion6": 3e-3}  # its default; ours


def clip_flags(args: argparse.Namespace) -> list[str]:
    size = ["--crop_list", args.crop_list, "--resize_list", args.resize_list]
    return ["--data_path", str(args.data_path), *size]


def our_flags(args: argparse.Namespace) -> list[str]:
    size = ["--loss", args.loss, "--modelsize", str(args.modelsize), "-b", str(args.batch)]
    return [*size, "-e", str(args.epochs), "--manualSeed", str(args.seed)]


def main(argv: list[str]) -> None:
    """Print the table, and write it with ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, required=True, help="a checkout of HNeRV")
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--crop_list", default="640_1280")
    parser.add_argument("--resize_list", default="160_320")
    parser.add_argument("--modelsize", type=float, default=0.35)
    parser.add_argument("--loss", default="Fusion6", choices=list(PUBLIC_LR))
    parser.add_argument("-b", "--batch", type=int, default=2)
    parser.add_argument("-e", "--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--presets", nargs="*", default=["default", "fast"])
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    modules = load_public(args.public)
    clip = load_clip(parse(clip_flags(args)).data)
    frames = clip.read(range(len(clip)))
    lr = PUBLIC_LR[args.loss]
    common = (args.modelsize, args.loss, lr, args.epochs, args.batch, args.seed)
    trainings: dict[str, PublicTraining | OurTraining] = {
        f"public {kind}": PublicTraining(modules, kind, frames, *common)
        for kind in ("hnerv", "nerv")
    } | {
        f"ours, {preset}": OurTraining([*clip_flags(args), *our_flags(args), "--preset", preset])
        for preset in args.presets
    }
    seconds = alternate({name: training.fit() for name, training in trainings.items()}, args.epochs)
    true = frames.float() / 255
    rows = []
    for name, training in trainings.items():
        drawn, fps = training.decode()
        ratios = [a / b for a, b in zip(seconds[name], seconds["public hnerv"], strict=True)]
        rows.append(
            {
                "network": name,
                "parameters": training.parameters,
                "PSNR seen": f"{psnr(drawn, true).mean():.2f}",
                "MS-SSIM": f"{ms_ssim(drawn, true).mean():.4f}",
                "s an epoch": f"{statistics.median(seconds[name]):.2f}",
                "ratio to HNeRV (quartiles)": spread(ratios),
                "frames/s decoded": f"{fps:.0f}",
            }
        )
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
