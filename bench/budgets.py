"""Plans of --minutes beside other settings in the same time, on one yardstick.

The yardstick is the PSNR of every frame of the source, 320 pixels wide: frames that a plan skips
are drawn by its network, smaller and larger frames are resized. Each alternative overrides a part
of the plan and is planned for the same time. Rows are stored as JSON in --rows and kept when the
script is started again. A machine that does nothing else is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from report import COMMIT, heading, number, short, table, write
from torch import Tensor

from nerv_clip import Run, Video, load_model, load_video
from nerv_clip.cli import main_guard
from nerv_clip.cli.quality import expected_psnr
from nerv_clip.cli.survey import survey
from nerv_clip.cli.terminal import Terminal
from nerv_clip.metrics import psnr
from nerv_clip.runs.config import RunConfig
from nerv_clip.video.spec import VideoSpec

ROOT = Path(__file__).parents[1]
WIDE = 320  # pixels, of the yardstick
PLAN = "the plan"
Row = dict[str, Any]


def main(argv: list[str]) -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 10, 30])
    parser.add_argument("--threads", type=int, default=2, help="of each training")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--without", nargs="*", default=[], help="alternatives to leave out")
    parser.add_argument("--rows", type=Path, required=True, help="folder for rows and runs")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    args.rows.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)

    def row(minutes: float, video: Path, name: str = PLAN, flags: Sequence[str] = ()) -> Row:
        return measured(video, minutes, name, [*flags], args.rows, args.threads)

    rows: list[Row] = []
    with ThreadPoolExecutor(args.jobs) as pool:
        for minutes in args.minutes:
            plans = {pool.submit(row, minutes, video): video for video in args.videos}
            trials = [
                pool.submit(row, minutes, plans[plan], name, flags)
                for plan in as_completed(plans)
                for name, flags in alternatives(plan.result()).items()
                if name not in args.without
            ]
            rows += [done.result() for done in (*plans, *trials)]
    rows.sort(key=lambda row: (row["minutes"], row["video"]))  # stable: the plan comes first
    write(args.out, heading(__doc__) + table([shown(row, rows) for row in rows]))


def alternatives(plan: Row) -> dict[str, list[str]]:
    """Flags of other settings: finer, coarser, fewer and more frames, other sizes of networks."""
    height, width = plan["size"]
    _, source_width = plan["source"]
    larger = min(2.0 if width < WIDE else 1.5, source_width / width)
    sizes = {
        "finer frames": (larger * height, larger * width),
        "coarser frames": (height / 2, width / 2),
    }
    found = {
        name: ["--resize_list", "_".join(str(2 * round(side / 2)) for side in size)]
        for name, size in sizes.items()
        if name != "finer frames" or source_width > width
    }
    found["half as many frames"] = ["--vid_step", str(2 * plan["step"])]
    if plan["step"] > 1:
        found["twice as many frames"] = ["--vid_step", str(plan["step"] // 2)]
    found["networks twice as large, fewer steps"] = ["--modelsize", f"{2 * plan['modelsize']:.3g}"]
    found["networks half as large, more steps"] = ["--modelsize", f"{plan['modelsize'] / 2:.3g}"]
    return found


def measured(
    video: Path, minutes: float, name: str, flags: list[str], folder: Path, threads: int
) -> Row:
    """A row, from the folder or by training and scoring."""
    run = folder / f"{video.stem}_{minutes:g}_{name.replace(' ', '_').replace(',', '')}"
    stored = run.with_suffix(".json")
    if stored.exists():
        row: Row = json.loads(stored.read_text())
        return row
    command = [sys.executable, str(ROOT / "train" / "train_nerv_clip.py")]
    command += ["--data_path", str(video), "--minutes", f"{minutes:g}", "--overwrite"]
    command += ["--outf", str(run), *flags]
    start = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        line = done.stderr.strip().splitlines()[-1].partition(": ")[2]
        return {"video": video.name, "minutes": minutes, "name": name, "failed": line}
    config = Run(run).read_config()
    wide = wide_source(config)
    row = {
        "video": video.name,
        "minutes": minutes,
        "name": name,
        "took": seconds / 60,
        "size": [config.video.height, config.video.width],
        "source": list(source_size(config)),
        "step": config.video.step,
        "modelsize": config.model.modelsize,
        "networks": len(config.architecture.segments),
        "epochs": int(Run(run).read_history()["epoch"].iloc[-1]),
        "bytes": Run(run).read_metrics().bytes,
        "yardstick": yardstick(Run(run), wide),
        "expected": expected(config, Run(run), wide),
        "mean frame": mean_frame(wide),
        "commit": COMMIT,
        "threads": threads,
    }
    stored.write_text(json.dumps(row))
    return row


def source_size(config: RunConfig) -> tuple[int, int]:
    """Height and width of the source."""
    spec = VideoSpec(Path(config.video.path), end=config.video.start + 1)
    video = load_video(spec, shots="off")
    return video.height, video.width


def wide_source(config: RunConfig) -> Video:
    """The source, every frame of it, `WIDE` pixels wide."""
    height, width = source_size(config)
    spec = VideoSpec(Path(config.video.path), resize=(2 * round(WIDE * height / width / 2), WIDE))
    return load_video(spec, shots="off", progress=Terminal())


@torch.no_grad()
def yardstick(run: Run, video: Video) -> float:
    """Mean PSNR in dB of every frame of `wide_source`."""
    config, model = run.read_config(), load_model(run.best)
    scores = []
    last = max(config.video.frames - 1, 1)
    for index in range(len(video)):
        t = min(index / config.video.step / last, 1.0)
        drawn = model(torch.tensor([t], dtype=torch.float64)).frames.clamp(0, 1)
        size = (video.height, video.width)
        if drawn.shape[-2:] != size:
            drawn = F.interpolate(drawn, size, mode="bicubic", antialias=True).clamp(0, 1)
        scores.append(psnr(drawn, floats(video.read([index]))).item())
    return sum(scores) / len(scores)


def expected(config: RunConfig, run: Run, wide: Video) -> float:
    """What the planner's estimate gives for a finished run."""
    content = survey(wide.spec, lambda _: wide.spec).content
    networks = len(config.architecture.segments)
    return expected_psnr(
        content,
        size=config.model.modelsize / networks,
        epochs=float(run.read_history()["epoch"].iloc[-1]),
        train=config.split_frames().count("train") / networks,
        smaller=WIDE / config.video.width,
        step=config.video.step,
    )


def mean_frame(video: Video) -> float:
    """The same of the mean frame, the baseline of a camera that does not move."""
    total = torch.zeros(3, video.height, video.width)
    for index in range(len(video)):
        total += floats(video.read([index]))[0]
    mean = (total / len(video))[None]
    scores = [psnr(mean, floats(video.read([index]))).item() for index in range(len(video))]
    return sum(scores) / len(scores)


def floats(frames: Tensor) -> Tensor:
    """uint8 as numbers in [0, 1]."""
    return frames.float() / 255


def shown(row: Row, rows: list[Row]) -> Row:
    """A row of the table."""
    start = {"video": row["video"], "minutes": f"{row['minutes']:g}", "settings": row["name"]}
    columns = (
        "took",
        "PSNR",
        "minus the plan",
        "expected",
        "mean frame",
        "frames",
        "M parameters",
        "epochs",
    )
    if "failed" in row:
        return start | dict.fromkeys(columns, "–") | {"bytes": row["failed"], "commit": ""}
    same = (r for r in rows if (r["video"], r["minutes"]) == (row["video"], row["minutes"]))
    plan = next(r for r in same if r["name"] == PLAN)
    height, width = row["size"]
    every = "" if row["step"] == 1 else f", every {row['step']}"
    return start | {
        "took": f"{row['took']:.1f} min",
        "PSNR": number(row["yardstick"], 2),
        "minus the plan": number(row["yardstick"] - plan["yardstick"], 2),
        "expected": number(row["expected"], 1),
        "mean frame": number(row["mean frame"], 2),
        "frames": f"{height}x{width}{every}",
        "M parameters": f"{row['modelsize']:.2f} in {row['networks']}",
        "epochs": row["epochs"],
        "bytes": f"{row['bytes']:,}",
        "commit": short(row["commit"]),
    }


if __name__ == "__main__":
    main_guard(main)
