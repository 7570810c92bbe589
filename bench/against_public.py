"""Train ours and the public HNeRV and NeRV on one clip, an epoch of each in turn.

So noise of the machine falls on all alike: seconds are compared as ratios to HNeRV's in the same
round. All train with one loss, and all are scored on the same pixels after the last epoch.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from public import PublicTraining, load_public
from report import heading, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import InputError, NeRVClip, Trainer, load_clip, parse, split_frames
from nerv_clip.evaluation import decode
from nerv_clip.metrics import ms_ssim, psnr
from nerv_clip.run import export_model, load_model
from nerv_clip.sizing import decoder_parameters, solve

PUBLIC_LR = {"L2": 1e-3, "Fusion6": 3e-3}  # its default; what it does best with, measured


class OurTraining:
    """A preset of ours with the interface of `PublicTraining`."""

    def __init__(self, preset: str, args: argparse.Namespace) -> None:
        chosen = ["--preset", preset, "--loss", args.loss, "--modelsize", str(args.modelsize)]
        length = ["-b", str(args.batch), "-e", str(args.epochs), "--manualSeed", str(args.seed)]
        options = parse([*clip_flags(args), *chosen, *length])
        self.clip = load_clip(options.data)
        split = split_frames(len(self.clip), "1_1_1")
        torch.manual_seed(options.train.seed)
        arch = solve(
            options.model, len(self.clip), len(self.clip), self.clip.height, self.clip.width
        )
        self.trainer = Trainer(NeRVClip(arch), self.clip, split, options.train)
        self.parameters = decoder_parameters(self.trainer.model)

    def fit(self) -> Iterator[float]:
        """Yield the seconds of each epoch."""
        for result in self.trainer.fit():
            yield result.seconds

    def decode(self) -> tuple[Tensor, float]:
        """Every frame as its file decodes, and frames a second."""
        with tempfile.TemporaryDirectory() as folder:
            export_model(self.trainer.averaged(), Path(folder) / "m.pth", {})
            model = load_model(Path(folder) / "m.pth")
        next(iter(decode(model, [0])))
        parts = list(decode(model, list(range(len(self.clip)))))
        seconds = sum(part[3] for part in parts)
        return torch.cat([part[1] for part in parts]), len(self.clip) / seconds


def clip_flags(args: argparse.Namespace) -> list[str]:
    size = ["--crop_list", args.crop_list, "--resize_list", args.resize_list]
    return ["--data_path", str(args.data_path), *size]


def main() -> None:
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
    args = parser.parse_args()
    modules = load_public(args.public)
    clip = load_clip(parse(clip_flags(args)).data)
    frames = clip.read(range(len(clip)))
    lr = PUBLIC_LR[args.loss]
    common = (args.modelsize, args.loss, lr, args.epochs, args.batch, args.seed)
    trainings: dict[str, PublicTraining | OurTraining] = {
        f"public {kind}": PublicTraining(modules, kind, frames, *common)
        for kind in ("hnerv", "nerv")
    } | {f"ours, {preset}": OurTraining(preset, args) for preset in args.presets}

    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    running = {name: training.fit() for name, training in trainings.items()}
    for _ in tqdm(range(args.epochs), unit="epoch of each"):
        for name, epochs in running.items():
            seconds[name].append(next(epochs))
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
                "ratio to HNeRV (quartiles)": _spread(ratios),
                "frames/s decoded": f"{fps:.0f}",
            }
        )
    write(args.out, heading(__doc__) + table(rows))


def _spread(ratios: list[float]) -> str:
    if len(ratios) < 2:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f} – {high:.2f})"


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(str(error)) from None
