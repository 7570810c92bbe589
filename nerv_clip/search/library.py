"""Search many runs at once and rank their moments together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.finding import scan_folders
from nerv_clip.search.trained_run import Answer, Moment, TrainedRun, load_run


class Hit(NamedTuple):
    """A moment found by a query; ``question``, ``reading`` and ``match`` as in `Answer`.

    ``teacher`` identifies the teacher: only hits of the same teacher can be compared. ``run`` is
    the run directory, ``fps`` the frames per second of the source.
    """

    question: str
    reading: str
    teacher: str
    run: Path
    fps: float
    match: bool
    moment: Moment


class Hits(NamedTuple):
    """The best moments, and an error message for each run that could not be searched."""

    hits: list[Hit]
    refused: list[str]


class Library:
    """The runs below some folders, grouped by teacher.

    Embeddings of different teachers cannot be compared, so their moments are ranked
    separately. The more runs of a teacher there are, the higher a clear match has to score, so
    that a text that none of them shows seldom matches. ``runs`` are by the id of the teacher;
    ``skipped`` holds an error message for each run that cannot be searched. Raises `InputError`
    where there is no run to search.
    """

    def __init__(self, folders: Iterable[Path], progress: Progress = SILENT) -> None:
        self.runs: dict[str, list[TrainedRun]] = {}
        self.skipped: list[str] = []
        folders = [Path(folder) for folder in folders]
        found = scan_folders(folders)
        self.skipped += found.skipped
        for run in found.runs:
            try:
                if not run.best.exists():
                    raise InputError(
                        f"{run.path} has no {run.best.name}: wait for its training, or resume it"
                    )
                loaded = load_run(run.path, progress=progress)
            except InputError as error:
                self.skipped.append(str(error))
                continue
            shared = self.runs.setdefault(loaded.query_encoder.id, [])
            if shared:
                loaded.query_encoder = shared[0].query_encoder
            shared.append(loaded)
        for together in self.runs.values():
            for searched in together:
                searched.clips = len(together)
        if not self.runs:
            raise InputError(self._nothing_to_search(folders))

    def _nothing_to_search(self, folders: list[Path]) -> str:
        where = ", ".join(map(str, folders))
        absent = [folder for folder in folders if not folder.exists()]
        if absent:
            return f"{absent[0]} does not exist"
        if self.skipped:
            return f"no run can be searched under {where}: {'; '.join(self.skipped)}"
        return f"no run under {where}: train one with `predict_clip`"

    def search(self, search_run: Callable[[TrainedRun], Answer], top: int) -> Hits:
        """Find the best ``top`` moments for each teacher, clear matches first.

        ``search_run`` searches one run, such as ``lambda run: run.search("a red mug")``. A run for
        which it raises `InputError` is left out. Raises `InputError` where it does for all.
        """
        found, refused = [], []
        for teacher, runs in self.runs.items():
            hits = []
            for run in runs:
                try:
                    answer = search_run(run)
                except InputError as error:
                    refused.append(str(error))
                    continue
                source = (answer.question, answer.reading, teacher, run.run.path, run.source_fps)
                hits += [Hit(*source, answer.match, moment) for moment in answer.moments]
            hits.sort(key=lambda hit: (not hit.match, -hit.moment.relevancy))
            found += hits[:top]
        if len(refused) == sum(map(len, self.runs.values())):
            raise InputError("; ".join(dict.fromkeys(refused)))
        return Hits(found, refused)
