"""Many runs asked at once, their moments ranked together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.run import find_runs
from nerv_clip.search.trained_run import Answer, Moment, TrainedRun, load_run


class Hit(NamedTuple):
    """A moment, and the question that it answers; ``match`` as in `Answer`.

    Hits are comparable where their ``teacher`` is the same; ``fps`` is the source's.
    """

    question: str
    teacher: str
    run: Path
    fps: float
    match: bool
    moment: Moment


class Hits(NamedTuple):
    """The best moments, and why some runs could not be asked."""

    hits: list[Hit]
    refused: list[str]


class Library:
    """Runs by teacher: what lives in different spaces is never ranked together.

    ``skipped`` says of each run that cannot be searched why not.
    """

    def __init__(self, folders: Iterable[Path], progress: Progress = SILENT) -> None:
        self.runs: dict[str, list[TrainedRun]] = {}
        self.skipped: list[str] = []
        folders = list(folders)
        for run in find_runs(folders):
            try:
                if not run.best.exists():
                    raise InputError(f"{run.path} has no {run.best.name} yet")
                loaded = load_run(run.path, progress=progress)
            except InputError as error:
                self.skipped.append(str(error))
                continue
            shared = self.runs.setdefault(loaded.query_encoder.id, [])
            if shared:
                loaded.query_encoder = shared[0].query_encoder
            shared.append(loaded)
        if not self.runs:
            named = ", ".join(map(str, folders))
            why = f" ({'; '.join(self.skipped)})" if self.skipped else ""
            raise InputError(f"no run with a CLIP head under {named}{why}")

    def ask(self, of_run: Callable[[TrainedRun], Answer], top: int) -> Hits:
        """The best ``top`` moments of each teacher's runs, clear matches first; no further mix.

        ``of_run`` asks one run, such as ``lambda run: run.search("a red mug")``. A run that
        cannot answer is left out; raises `InputError` with the reasons where none can.
        """
        out, refused = [], []
        for teacher, runs in self.runs.items():
            hits = []
            for run in runs:
                try:
                    answer = of_run(run)
                except InputError as error:
                    refused.append(str(error))
                    continue
                about = (answer.question, teacher, run.run.path, run.source_fps)
                hits += [Hit(*about, answer.match, moment) for moment in answer.moments]
            hits.sort(key=lambda hit: (not hit.match, -hit.moment.relevancy))
            out += hits[:top]
        if len(refused) == sum(map(len, self.runs.values())):
            raise InputError("; ".join(dict.fromkeys(refused)))
        return Hits(out, refused)
