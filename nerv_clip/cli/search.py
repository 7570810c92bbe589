"""The search command: moments of trained runs by text, image or similarity."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nerv_clip.cli.messages import with_flags
from nerv_clip.cli.parser import Parser
from nerv_clip.cli.terminal import Terminal
from nerv_clip.errors import InputError
from nerv_clip.search import (
    Answer,
    LabelledQuery,
    Library,
    TrainedRun,
    as_csv,
    as_edl,
    as_json,
    as_text,
    fidelity,
    load_run,
    summary,
)


def _text(argument: str) -> str:
    """An argument as UTF-8, whatever the encoding of the terminal's language is."""
    return os.fsencode(argument).decode("utf-8", "replace")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse the flags; raises `InputError` for a command without a query."""
    parser = Parser(
        prog="search.py", description="Find moments of trained runs by text, image or similarity."
    )
    parser.add_argument(
        "queries", nargs="*", type=_text, help='texts, such as "a yellow mug -red apple^0.5"'
    )
    parser.add_argument("--run", type=Path, required=True, help="a run, or a folder of runs")
    parser.add_argument("--image", type=Path, help="find moments that look like this image")
    parser.add_argument(
        "--like", metavar="START-END", help="find moments similar to these seconds of the run"
    )
    parser.add_argument(
        "--spot",
        metavar="X,Y,FRAME",
        help="find moments that show what is at this place of a frame; x and y from 0 to 1, to the "
        "right and downwards",
    )
    parser.add_argument("--top", type=int, default=5, help="moments to list for each query")
    parser.add_argument("--grid", type=int, default=4, help="times searched per frame, 1 to 64")
    parser.add_argument(
        "--fidelity",
        type=Path,
        metavar="FILE",
        help="compare the predicted with the true index: labels.json of a rendered kitchen, or a "
        "file with one text per line",
    )
    shape = parser.add_mutually_exclusive_group()
    for name, text in (
        ("json", "print a JSON list"),
        ("csv", "print a CSV table"),
        ("edl", "print the clear matches as a CMX 3600 edit decision list, for video editors"),
    ):
        shape.add_argument(f"--{name}", action="store_const", dest="shape", const=name, help=text)
    args = parser.parse_args(argv)
    if not (args.queries or args.image or args.like or args.spot or args.fidelity):
        raise InputError("there is no query: give a text, --image, --like, --spot or --fidelity")
    if args.top < 1:
        raise InputError(f"--top {args.top}: give 1 or more")
    return args


def queries_of(args: argparse.Namespace) -> list[Callable[[TrainedRun], Answer]]:
    """The queries of a command, each as a function of the run that is searched."""
    options = {"top": args.top, "grid": args.grid}
    queries: list[Callable[[TrainedRun], Answer]] = [
        partial(TrainedRun.search, query=query, **options) for query in args.queries
    ]
    if args.image:
        queries.append(partial(TrainedRun.search_image, path=args.image, **options))
    if args.like:
        try:
            start, end = (float(part) for part in args.like.split("-"))
        except ValueError:
            raise InputError(
                f"--like {args.like}: give START-END in seconds, such as 2-3.5"
            ) from None
        queries.append(partial(TrainedRun.search_like, start=start, end=end, **options))
    if args.spot:
        try:
            x, y, frame = args.spot.split(",")
            spot = partial(TrainedRun.search_spot, x=float(x), y=float(y), frame=int(frame))
        except ValueError:
            raise InputError(
                f"--spot {args.spot}: give X,Y,FRAME, such as 0.5,0.3,120 for a place above the "
                "middle of frame 120"
            ) from None
        queries.append(partial(spot, **options))
    return queries


def print_fidelity(path: Path, file: Path, terminal: Terminal) -> None:
    """Print how well each index of a run answers the queries in a file."""
    run = load_run(path, progress=terminal)
    if file.suffix == ".json":
        from nerv_clip.demo import labelled_queries  # imports what trains the demo encoder

        queries = [LabelledQuery(text, truth) for text, truth in labelled_queries(file).items()]
    else:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {file}: {error}") from None
        queries = [LabelledQuery(line.strip(), None) for line in lines if line.strip()]
    if not queries:
        raise InputError(f"{file} contains no query")
    table = fidelity(run, queries, terminal)
    print(f"{path}: {len(queries)} queries")
    print(summary(table).round(4).to_string(index=False, na_rep="–"))


def search(argv: list[str]) -> None:
    """Print the moments that answer the queries, or how good the predicted index is."""
    args, terminal = parse(argv), Terminal()
    if args.fidelity:
        print_fidelity(args.run, args.fidelity, terminal)
    queries = queries_of(args)
    if not queries:
        return
    library = Library([args.run], progress=terminal)
    for reason in library.skipped:
        terminal.message(f"not searched: {with_flags(reason, {})}")
    hits = []
    for query in queries:
        found = library.search(query, args.top)
        hits += found.hits
        for reason in found.refused:
            terminal.message(f"not searched: {with_flags(reason, {})}")
    if not hits:
        terminal.message("no other moment is similar")
    write = {None: as_text, "json": as_json, "csv": as_csv, "edl": as_edl}[args.shape]
    print(write(hits))
