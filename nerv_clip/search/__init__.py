"""Search videos by text, by image or by similar moments, in the predicted embeddings of runs.

`load_run` loads one run, `Library` many; `fidelity` compares the predicted embeddings with the
true ones. Neither needs the source video. The modules, each importing only those above it:

- ``query``: the syntax of queries, and the embedding of a term
- ``phrases``: texts of a teacher that every search uses
- ``index``: predicted embeddings on a grid of times
- ``absence``: how high a text scores that a video does not show
- ``relevancy``: scores of an index for a query
- ``maps``: predicted embeddings of the cells of the frames
- ``places``: where in a frame a query is shown
- ``query_encoder``: from texts and images to queries
- ``run_places``: places in the frames of one run
- ``moments``: from a curve of scores to moments
- ``trained_run``: search in one run
- ``library``: search in many runs
- ``formats``: lists of hits as text, JSON, CSV, EDL
- ``fidelity``: predicted against true embeddings
"""

from nerv_clip.search.fidelity import LabelledQuery, fidelity, summary
from nerv_clip.search.formats import as_csv, as_edl, as_json, as_text, read_as
from nerv_clip.search.library import Hit, Library
from nerv_clip.search.moments import Span, spans
from nerv_clip.search.trained_run import Answer, Moment, TrainedRun, load_run

__all__ = [
    "Answer",
    "Hit",
    "LabelledQuery",
    "Library",
    "Moment",
    "Span",
    "TrainedRun",
    "as_csv",
    "as_edl",
    "as_json",
    "as_text",
    "fidelity",
    "load_run",
    "read_as",
    "spans",
    "summary",
]
