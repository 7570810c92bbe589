"""Join rendered kitchens into one film with hard cuts: FILM.mp4, and FILM.json with its labels.

The kitchens are folders of pictures with ``labels.json``, such as `kitchen_library.py` leaves in
FOLDER/videos. Training finds the cuts by itself; `kitchen_search.py --labels FILM.json` scores
searches in the run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from kitchen_library import encode, rendered

from nerv_clip.cli import main_guard
from nerv_clip.demo.kitchen import LABELS
from nerv_clip.files import atomic_write


def joined(kitchens: list[Path]) -> Iterator[dict[str, Any]]:
    """The labels of every frame of the film."""
    for kitchen in kitchens:
        yield from json.loads((kitchen / LABELS).read_text())["frames"]


def main(argv: list[str]) -> None:
    """Write the film and its labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("film", type=Path, help="FILM.mp4")
    parser.add_argument("kitchens", nargs="+", type=Path)
    args = parser.parse_args(argv)
    encode(chain.from_iterable(map(rendered, args.kitchens)), args.film)
    frames = [{**labels, "frame": index} for index, labels in enumerate(joined(args.kitchens))]
    with atomic_write(args.film.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps({"frames": frames}))


if __name__ == "__main__":
    main_guard(main)
