"""Search: moments of a video by text, image or similarity, in the predicted embeddings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import charts
import pandas as pd
import streamlit as st
from comparison_stream import playable_stream
from file_names import short_name
from heat import highlight, picked_spot
from inference import library_of, searchable_run
from literal import literal, message
from moment_card import ACROSS, moment_card
from player import hover_card
from run_view import RunView, read_view, stamp
from session import current_frame, go_to, open_page, persistent, run_by_name, run_paths
from shown_frames import HIGHEST, shown_frames
from teacher_consent import allowed_to_load, may_load
from watching import watch
from widgets import has_clip_head, input_errors

from nerv_clip import InputError, Run

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from nerv_clip.search import Answer, TrainedRun

    Query = Callable[[TrainedRun], Answer]

MOST_BYTES = 20_000_000  # of an uploaded image
MOST_QUERIES = 6
DEMO = "demo"  # name of the encoder in checkpoints/demo_clip
THIS_RUN, ALL_RUNS = "this run", "all runs"


def examples(teacher: str) -> list[str]:
    """Example queries in the teacher's vocabulary."""
    if teacher == DEMO:
        return ["a purple kettle", "the tap is running", "the fridge is open", "a pan on the fire",
                "a mug -kettle", "at night", "a blue bottle"]  # fmt: skip
    return ["a person", "a close-up", "text on a screen", "outdoors -people"]


def text_queries(teacher: str) -> list[str]:
    """The text box, with examples that are added by a click; one query per line."""
    box = persistent("search text", "")

    def add_example() -> None:
        lines = st.session_state[box].splitlines()
        picked, st.session_state["example"] = st.session_state["example"], None
        if picked and picked not in lines:
            st.session_state[box] = "\n".join([*filter(None, lines), picked][-MOST_QUERIES:])

    st.pills("Examples", examples(teacher), key="example", on_change=add_example)
    text = st.text_area(
        "What are you looking for?", key=box, height=110, placeholder="a yellow mug",
        help="One query per line. `and a` or `+` before a word adds a term, `without` or `-` adds "
        "one that should be absent, `^` sets a weight: `a yellow mug -green apple^0.5`",
    )  # fmt: skip
    if teacher == DEMO:
        st.caption(
            "This run was trained with the demo encoder, which covers rendered kitchens only: "
            "mugs, apples, kettles, bowls, plates, bottles, pans and knives in eight colours, "
            "hands, the tap, the fridge, fire and steam, lights, day and night."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys(lines))[:MOST_QUERIES]


def by_text(query: str) -> Query:
    """A search for a text."""
    return lambda run: run.search(query, top=ACROSS)


def by_image(name: str, content: bytes) -> Query:
    """A search for an uploaded image."""

    def search(run: TrainedRun) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / short_name(name)
            path.write_bytes(content)
            try:
                return run.search_image(path, top=ACROSS)
            except InputError as error:  # show the name of the upload, not of the temporary file
                raise InputError(str(error).replace(str(path), name)) from None

    return search


def image_queries(view: RunView, in_all_runs: bool) -> list[Query]:
    """Searches for an uploaded image, and for a moment of this video."""
    left, right = st.columns(2)
    queries: list[Query] = []
    upload = left.file_uploader("Image", type=["png", "jpg", "jpeg", "webp"])
    if upload is not None:
        if upload.size > MOST_BYTES:
            st.error(f"The image has {upload.size / 1e6:.0f} MB. The limit is 20 MB.")
        else:
            queries.append(by_image(upload.name, upload.getvalue()))
    last = float(view.timestamps[-1])
    if last > 0:
        start, end = moment_slider(view, right)
        similar = right.toggle(
            "Find similar moments", key=f"similar {view.key}", disabled=in_all_runs,
            help="Only in this run",
        )  # fmt: skip
        if similar and not in_all_runs:  # seconds refer to one video
            queries.append(lambda run: run.search_like(start, end, top=ACROSS))
    return queries


def moment_slider(view: RunView, place: DeltaGenerator) -> tuple[float, float]:
    """A stretch of the video in seconds; it follows the current frame while it is not searched."""
    last, frame = float(view.timestamps[-1]), current_frame(view.frames)
    now = min(float(view.timestamps[frame]), last)
    key = persistent(f"span {view.key}", (now, min(now + 0.5, last)))
    searched = st.session_state.get(f"similar {view.key}")
    if not searched and st.session_state.get("span frame") != (view.key, frame):
        st.session_state["span frame"] = view.key, frame
        st.session_state[key] = now, min(now + 0.5, last)
    start, end = st.session_state[key]
    place.slider("Moment of this video (seconds)", 0.0, last, key=key)
    return start, end


def search_this_run(view: RunView, queries: list[Query], texts: list[str]) -> None:
    """The answers of the selected run."""
    answers: list[Answer] = []
    run = searchable_run(view)
    for query in queries:
        with input_errors():
            answers.append(query(run))
    if answers:
        show_answers(view, answers, texts)
        hover_card(view)


def curve_names(answers: list[Answer]) -> list[str]:
    """The questions of the answers, numbered where several are equal."""
    names: list[str] = []
    for answer in answers:
        numbered = (f"{answer.question} ({number})" for number in count(2))
        names.append(next(n for n in chain([answer.question], numbered) if n not in names))
    return names


def show_question(question: str, reading: str) -> None:
    """A query, and below it how it is read, unless that is as one text."""
    from nerv_clip.search import read_as

    st.subheader(literal(question))
    if read := read_as(question, reading):
        st.caption(literal(read.strip(" ()").capitalize()))


def show_answers(view: RunView, answers: list[Answer], texts: list[str]) -> None:
    """Relevancy over time, then the moments of each query."""
    last = view.frames - 1
    named = dict(zip(curve_names(answers), answers, strict=True))
    predicted = {name: answer.relevancy for name, answer in named.items()}
    true = {n: a.true_relevancy for n, a in named.items() if a.true_relevancy is not None}
    frames, shown = answers[0].times * last, shown_frames(view.frames, HIGHEST)
    figure = charts.relevancy(frames, predicted, true, view.shots, shown)
    columns = {f"relevancy: {name}": values for name, values in predicted.items()}
    charts.show(figure, f"search {view.key}", pd.DataFrame({"frame": frames, **columns}))
    st.caption(
        "Relevancy is between 0 and 1. Above 0.5, a match is clear: 95 % of the texts that the "
        "video does not show stay below. In a result, *true* is the relevancy of the true "
        "embedding."
    )
    if view.has_dense_head:
        places(view, {a.question: a.moments[0].frame for a in answers if a.question in texts})
    for number, answer in enumerate(answers):
        show_question(answer.question, answer.reading)
        if not answer.moments:
            st.info("No other moment is similar.")
            continue
        if not answer.match:
            st.warning(
                "No clear match: the best moment scores no higher than texts that the video does "
                "not show. The nearest moments are:",
                icon=":material/search_off:",
            )
        question = answer.question if answer.question in texts else None
        with st.container(key=f"pairs {number}"):
            cards = st.columns(ACROSS)
        for index, moment in enumerate(answer.moments):
            with cards[index % ACROSS]:
                moment_card(view, st.session_state.run, moment, f"{number} {index}", question)
    downloads(answers, view)


@st.fragment
@input_errors()
def places(view: RunView, best: dict[str, int]) -> None:
    """The player, with the heat map of one of the texts; it goes to the ``best`` frame of each."""
    if not best:
        return
    st.subheader("Where in the picture")
    chosen = next(iter(best))
    if len(best) > 1:
        picked = st.segmented_control("Highlight", [*best], default=chosen, format_func=literal)
        chosen = picked or chosen
    if st.session_state.get("lit up") != (view.key, chosen):
        st.session_state["lit up"] = view.key, chosen
        go_to(best[chosen])
    spot = picked_spot()
    if spot is not None:
        highlight(view, spot)
        open_page("screens/frames.py")
        st.rerun()
    watch(view, playable_stream(view), chosen)
    st.caption(
        "The colours show relevancy, on the same scale in every frame. A click on a spot finds "
        "more like it, on the Frames page."
    )


def downloads(answers: list[Answer], view: RunView) -> None:
    """The moments as CSV and as EDL."""
    from nerv_clip.search import Hit, as_csv, as_edl

    run = searchable_run(view)
    source = (run.query_encoder.id, view.run.path, run.source_fps)
    hits = [
        Hit(answer.question, answer.reading, *source, answer.match, moment)
        for answer in answers
        for moment in answer.moments
    ]
    with st.container(horizontal=True):
        for label, text, file in (
            ("Moments as CSV", as_csv(hits), "moments.csv"),
            ("Moments as EDL (for video editors)", as_edl(hits), "moments.edl"),
        ):
            st.download_button(label, text, file, icon=":material/download:", on_click="ignore")


def searched_runs(paths: Iterable[str]) -> tuple[list[Run], list[str]]:
    """The runs whose teachers may be loaded, and a message for each other one."""
    runs, left_out = [], []
    for run in map(Run, map(Path, paths)):
        with suppress(InputError):  # which the library reports
            teacher = run.read_config().teacher
            if teacher is not None and not may_load(teacher):
                left_out.append(
                    f"{run.path}: its teacher {teacher.name} is not loaded yet; select the run, "
                    "search in it, and allow that"
                )
                continue
        runs.append(run)
    return runs, left_out


def search_all_runs(queries: list[Query], texts: list[str]) -> None:
    """The answers of all runs, ranked together."""
    names = {path: name for name, path in run_paths().items()}
    runs, left_out = searched_runs(names)
    stamps = [stamp(run.best) for run in runs if run.best.exists()]
    library = library_of(tuple(str(run.path) for run in runs), tuple(stamps))
    left_out += library.skipped
    for number, query in enumerate(queries):
        with input_errors():
            hits, refused = library.search(query, top=2 * ACROSS)
            left_out += refused
            if not hits:
                continue
            show_question(hits[0].question, hits[0].reading)
            question = hits[0].question if hits[0].question in texts else None
            with st.container(key=f"pairs all {number}"):
                columns = st.columns(ACROSS)
            for index, hit in enumerate(hits):
                name = names[str(hit.run)]
                run = run_by_name(name)
                with columns[index % ACROSS]:
                    st.caption(f"**{literal(name)}**" + ("" if hit.match else ", no clear match"))
                    if run is not None:
                        moment_card(
                            read_view(run), name, hit.moment, f"all {number} {index}", question
                        )
    if left_out:
        with st.expander(f"Runs not searched: {len(left_out)}"):
            for reason in left_out:
                st.caption(message(reason))


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Search")
    if not has_clip_head(view):
        return
    teacher = run.read_teacher()
    where = st.segmented_control("Search in", [THIS_RUN, ALL_RUNS], default=THIS_RUN)
    in_all_runs = where == ALL_RUNS
    texts = text_queries(teacher.name)
    queries = [by_text(query) for query in texts]
    with st.expander("Search by image, or by a moment of this video"):
        queries += image_queries(view, in_all_runs)
    if not queries:
        st.caption("Enter a query, or choose an example.")
    elif in_all_runs:
        search_all_runs(queries, texts)
    elif allowed_to_load(teacher):
        search_this_run(view, queries, texts)


main(st.session_state.selected_run)
