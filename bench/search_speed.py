"""Speed of search: a text query, a large index, and the CLIP tap."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from report import heading, table, write

from nerv_clip import NeRVClip, Run, preset, solve
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.search import load_run
from nerv_clip.search.index import cosines

ROWS, DIM, TOP = 1_000_000, 512, 10


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median time of some calls, after one for warm-up."""
    work()
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


def text_query(like: Run) -> list[dict[str, str]]:
    """A text query over 10,000 frames at grid 4, on an untrained network like that of a run."""
    config = like.read_config()
    arch = dataclasses.replace(config.architecture.first, frames=10_000, clip_tap=0)
    times = tuple(i / 25 for i in range(10_000))
    video = dataclasses.replace(config.video, frames=10_000, timestamps=times, shots=())
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        torch.manual_seed(1)
        export_model(NeRVClip(arch, with_encoder=False), run.best, {})
        whole = VideoArchitecture.of(arch)
        run.write_config(dataclasses.replace(config, architecture=whole, video=video))
        found = load_run(run.path, progress=Terminal())
        found.index(4)
        queries = iter(["a red mug", "a green apple", "the tap is running", "an orange pan"] * 5)
        first = time.perf_counter()
        found.search("a blue kettle")
        first = time.perf_counter() - first
        spent = seconds(lambda: found.search(next(queries)), 10)
    what = "a text query over 10,000 frames at grid 4"
    return [
        {"what": f"{what}, once warm", "seconds": f"{spent:.3f}"},
        {"what": f"{what}, the first (the teacher is loaded)", "seconds": f"{first:.1f}"},
    ]


def million() -> list[dict[str, str]]:
    """The ten nearest of a million float16 embeddings on disk: our search and faiss's."""
    import faiss

    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((1, DIM)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.npy"
        index = np.lib.format.open_memmap(path, "w+", np.float16, (ROWS, DIM))
        for start in range(0, ROWS, 50_000):
            rows = rng.standard_normal((50_000, DIM)).astype(np.float32)
            index[start : start + 50_000] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        index.flush()
        kept = np.load(path, mmap_mode="r")

        def ours() -> set[int]:
            scores = cosines(kept, wanted)[:, 0]
            return set(np.argpartition(-scores, TOP)[:TOP].tolist())

        spent = seconds(ours)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        flat = faiss.IndexScalarQuantizer(
            DIM, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        for start in range(0, ROWS, 50_000):
            flat.add(np.array(kept[start : start + 50_000], np.float32))
        theirs = seconds(lambda: flat.search(wanted, TOP))
        same = set(flat.search(wanted, TOP)[1][0].tolist()) == ours()
    return [
        {"what": "exact search, 1,000,000 x 512 float16, mapped", "seconds": f"{spent:.3f}"},
        {"what": "… peak memory of the process, GiB", "seconds": f"{peak:.2f}"},
        {"what": "… faiss-cpu's flat float16 index, in memory", "seconds": f"{theirs:.3f}"},
        {
            "what": "… ours / faiss (same ten rows: " + str(same) + ")",
            "seconds": f"{spent / theirs:.2f}",
        },
    ]


def taps(like: Run, name: str) -> list[dict[str, str]]:
    """Time of `NeRVClip.embed` for each tap, against a full decode by the same network.

    The network has the settings of a preset, and the video and ``modelsize`` of the run ``like``.
    Frames are drawn without motion compensation, which would make a full decode slower.
    """
    config = like.read_config()
    theirs = config.architecture
    model, _ = preset(name)
    model = dataclasses.replace(
        model, modelsize=config.model.modelsize, predict_clip=True, clip_dim=theirs.clip_dim
    )
    arch = solve(model, theirs.frames, theirs.frames, theirs.height, theirs.width)
    rows = []
    for tap, count in itertools.product((0, 1, len(arch.strides)), (1, 16)):
        t = torch.linspace(0.1, 0.9, count, dtype=torch.float64)
        network = NeRVClip(dataclasses.replace(arch, clip_tap=tap), with_encoder=False).eval()
        with torch.no_grad():
            full = seconds(partial(network.draw, t), 50 // count)
            alone = seconds(partial(network.embed, t), 50)
        what = f"full decode / embedding alone, `--preset {name} --clip_tap {tap}`"
        rows.append(
            {
                "what": f"{what} of {len(arch.strides)}, {count} at once",
                "seconds": f"{full / alone:.1f} ({1000 * full:.1f} ms / {1000 * alone:.2f} ms)",
            }
        )
    return rows


def main(argv: list[str]) -> None:
    """Print the table; needs the package ``faiss-cpu``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run; its video and size are used")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    run = Run(args.run)
    rows = [*text_query(run), *million()]
    for name in ("fast", "default", "best"):
        rows += taps(run, name)
    write(args.out, "# Speed of search\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
