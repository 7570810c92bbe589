"""Cost against frame size, parameters and length, with the lower bound set by arithmetic.

The lower bound of a step or a frame is its floating-point operations divided by the highest rate
measured on this machine, that of a large matrix product. The second table shows the distribution
of time in a training step and in decoding a frame, by PyTorch's profiler.
"""

from __future__ import annotations

import argparse
import math
import shlex
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
import torch
from ours import OurTraining
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots
from report import heading, table, write
from serving import CHROMIUM
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from nerv_clip import Trainer
from nerv_clip.cli import main_guard

SIZES, MILLIONS, LENGTHS = (80, 160, 320, 640), (0.1, 0.35, 0.75, 1.5, 3.0), (16, 33, 66, 132)
AXES: dict[str, dict[float, str]] = {
    "pixels of a frame": {2 * h * h: f"--resize_list {h}_{2 * h}" for h in SIZES},
    "parameters": {m * 1e6: f"--modelsize {m}" for m in MILLIONS},
    "frames": {n: f"--vid_end {n}" for n in LENGTHS},
}
GROUPS = {  # a group of operations, and parts of PyTorch's names for them
    "convolution": ("conv", "mkldnn"),
    "matrix products (SSIM's blur, Muon)": ("mm", "matmul"),
    "activation": ("gelu", "tanh"),
    "warping": ("grid_sampler", "upsample"),
    "memory copies": ("copy", "cat", "shuffle", "clone", "contiguous", "pad", "index", "fill"),
    "elementwise": ("mul", "add", "sub", "div", "neg", "lerp", "sigmoid", "pow", "sum"),
}


class Cost(NamedTuple):
    """Seconds, and floating-point operations, of a training step (two frames) and of a frame."""

    step: float
    frame: float
    step_flops: float
    frame_flops: float


def main(argv: list[str]) -> None:
    """Measure, print the tables, and save the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_path", type=Path, required=True)
    parser.add_argument("--crop_list", default="640_1280")
    parser.add_argument("--presets", nargs="+", default=["default", "fast"])
    parser.add_argument("--plot", type=Path, help="a PNG file under bench/results")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    common = ["--data_path", str(args.data_path), "--crop_list", args.crop_list]
    common += ["--resize_list", "160_320", "--modelsize", "0.35", "--device", "cpu"]
    peak = peak_rate()
    points: dict[tuple[str, str], dict[float, Cost]] = {}
    for preset in args.presets:
        for axis, places in AXES.items():
            costs = points[preset, axis] = {}
            for at, flags in tqdm(places.items(), desc=f"{preset}, {axis}", unit="network"):
                flagged = [*common, *shlex.split(flags), "--preset", preset]
                costs[at] = cost(OurTraining(flagged))
    rows = [
        row(preset, axis, at, point, peak)
        for (preset, axis), costs in points.items()
        for at, point in costs.items()
    ]
    shares = [
        time_shares(OurTraining([*common, "--preset", preset]), preset) for preset in args.presets
    ]
    text = heading(__doc__) + f"Highest measured rate: {peak / 1e9:.0f} GFLOP/s.\n\n"
    text += f"![cost]({args.plot.name})\n\n" if args.plot else ""
    profiles = table([line for lines in shares for line in lines])
    write(args.out, f"{text}{table(rows)}\n## Distribution of time\n\n{profiles}")
    if args.plot:
        draw(points, peak, args.plot)


def peak_rate(size: int = 2048) -> float:
    """Operations a second in a product of two square matrices: the best of five."""
    a = torch.randn(size, size)
    return 2 * size**3 / min(seconds(lambda: a @ a) for _ in range(5))


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def cost(training: OurTraining) -> Cost:
    """Medians of three steps and of five frames, each after one for warm-up."""
    trainer = training.trainer
    train(trainer)
    step = statistics.median(seconds(lambda: train(trainer)) for _ in range(3))
    step_flops = operations(lambda: train(trainer))
    model = trainer.averaged()
    t = torch.zeros(1, dtype=torch.float64)
    with torch.no_grad():
        model(t)
        frame = statistics.median(seconds(lambda: model(t)) for _ in range(5))
        frame_flops = operations(lambda: model(t))
    return Cost(step, frame, step_flops, frame_flops)


def train(trainer: Trainer) -> None:
    """One step, on the first train frames."""
    trainer.order, trainer.step = trainer.train_frames, 0
    trainer.train_step()


def operations(action: Callable[[], object]) -> float:
    corrected = {torch.ops.aten.convolution_backward: convolution_backward}
    with FlopCounterMode(display=False, custom_mapping=corrected) as counter:
        action()
    return float(counter.get_total_flops())


def convolution_backward(
    gradient: torch.Size, _: torch.Size, weight: torch.Size, *others: list[bool], **__: object
) -> int:
    """Operations of a convolution's backward pass, also for depthwise kernels.

    Twice those of the forward pass, or once if the input needs no gradient. PyTorch's own count
    treats a depthwise kernel as a dense one.
    """
    needed = others[-1]  # whether the input, the weight and the bias need gradients
    return 2 * math.prod(gradient) * math.prod(weight[1:]) * sum(needed[:2])


def row(preset: str, axis: str, at: float, point: Cost, peak: float) -> dict[str, Any]:
    bounds = point.step_flops / peak, point.frame_flops / peak
    return {
        "preset": preset,
        "axis": axis,
        "at": f"{at:.0f}",
        "ms a step": f"{1e3 * point.step:.0f}",
        "lower bound of a step, ms": f"{1e3 * bounds[0]:.0f} ({point.step / bounds[0]:.1f}x)",
        "ms a frame": f"{1e3 * point.frame:.1f}",
        "lower bound of a frame, ms": f"{1e3 * bounds[1]:.1f} ({point.frame / bounds[1]:.1f}x)",
    }


def time_shares(training: OurTraining, preset: str) -> list[dict[str, Any]]:
    """Shares of the self time of a training step and of a frame, by group of operations."""
    trainer, model = training.trainer, training.trainer.averaged()
    t = torch.zeros(1, dtype=torch.float64)
    rows = []
    for name, action in (("training", lambda: train(trainer)), ("decoding", lambda: model(t))):
        with torch.set_grad_enabled(name == "training"):
            action()
            with profile(activities=[ProfilerActivity.CPU]) as recorded:
                action()
        spent: Counter[str] = Counter()
        for event in recorded.key_averages():
            spent[group(event.key)] += event.self_cpu_time_total
        total = sum(spent.values())
        shares = {place: f"{100 * spent[place] / total:.0f} %" for place in [*GROUPS, "other"]}
        rows.append({"preset": preset, "work": name, **shares})
    return rows


def group(operation: str) -> str:
    found = (place for place, parts in GROUPS.items() if any(part in operation for part in parts))
    return next(found, "other")


def draw(points: dict[tuple[str, str], dict[float, Cost]], peak: float, path: Path) -> None:
    """Plot milliseconds a step and a frame, lower bounds dotted, and save Chromium's rendering."""
    figure = make_subplots(2, len(AXES), subplot_titles=list(AXES), vertical_spacing=0.12)
    colours = dict(zip(sorted({preset for preset, _ in points}), ("#4c78a8", "#f58518", "#54a24b")))  # noqa: B905
    for (preset, axis), costs in points.items():
        column = [*AXES].index(axis) + 1
        for line, (spent, flops) in enumerate((("step", "step_flops"), ("frame", "frame_flops"))):
            for dash, values in (
                ("solid", [1e3 * getattr(c, spent) for c in costs.values()]),
                ("dot", [1e3 * getattr(c, flops) / peak for c in costs.values()]),
            ):
                trace = go.Scatter(
                    x=[*costs],
                    y=values,
                    name=preset if dash == "solid" else f"{preset}, lower bound",
                    showlegend=column == 1 and line == 0,
                    mode="lines+markers",
                    line={"color": colours[preset], "dash": dash},
                )
                figure.add_trace(trace, line + 1, column)
    for column, places in enumerate(AXES.values(), start=1):
        figure.update_xaxes(type="log", tickvals=[*places], tickformat=".3~s", col=column)
    figure.update_yaxes(type="log", dtick=1)
    figure.update_yaxes(title="ms a training step", row=1, col=1)
    figure.update_yaxes(title="ms a decoded frame", row=2, col=1)
    figure.update_layout(
        width=1200, height=640, template="plotly_white", legend={"y": 1.12, "orientation": "h"}
    )
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1216, "height": 656})
        page.set_content(figure.to_html(include_plotlyjs=True))
        page.wait_for_selector(".main-svg")
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main_guard(main)
