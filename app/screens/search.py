"""Moments of a video by text, image or likeness, in the predicted embeddings."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import charts
import pandas as pd
import streamlit as st
from inference import library_of, searchable
from player import peek
from run_view import View, read_view, stamp, true_picture
from session import current, folders, go_to, kept, run_called, run_names
from theme import embeds, picture_url, refusals

from nerv_clip import InputError, Run

if TYPE_CHECKING:
    from nerv_clip.search import Answer, Moment, TrainedRun

    Ask = Callable[[TrainedRun], Answer]

MOST_BYTES = 20_000_000  # of an image that is searched for
MOST_QUERIES = 6
ACROSS = 4  # moments beside each other, two on a phone
DEMO = "demo"  # the encoder that ships


def examples(view: View) -> list[str]:
    """Queries that this run's teacher certainly knows."""
    if view.teacher == DEMO:
        return ["a purple kettle", "the tap is running", "the fridge is open", "a pan on the fire",
                "a mug -kettle", "at night", "a blue bottle"]  # fmt: skip
    return ["a person", "a close-up", "text on a screen", "outdoors -people"]


def typed(view: View) -> list[str]:
    """The queries: one a line, examples added by a click."""
    box = kept("search text", "")

    def add() -> None:
        lines = st.session_state[box].splitlines()
        picked, st.session_state["example"] = st.session_state["example"], None
        if picked and picked not in lines:
            st.session_state[box] = "\n".join([*filter(None, lines), picked][-MOST_QUERIES:])

    st.pills("Try", examples(view), key="example", on_change=add)
    text = st.text_area(
        "Queries, one a line", key=box, height=110, placeholder="a red mug on the table",
        help="-word asks for absence, ^2 is a weight: `a red mug -green apple^0.5`",
    )  # fmt: skip
    if view.teacher == DEMO:
        st.caption(
            "This run's teacher is the demo encoder. It knows a rendered kitchen only: mugs, "
            "apples, kettles, bowls, plates, bottles, pans and knives in eight colours, hands, the "
            "tap, the fridge, fire and steam, lights, day and night."
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys(lines))[:MOST_QUERIES]


def by_text(query: str) -> Ask:
    """Ask for a text."""
    return lambda run: run.search(query, top=ACROSS)


def by_image(name: str, content: bytes) -> Ask:
    """Ask for what an uploaded image shows."""

    def ask(run: TrainedRun) -> Answer:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(content)
            try:
                return run.search_image(path, top=ACROSS)
            except InputError as error:  # by the name that it was uploaded under
                raise InputError(str(error).replace(str(path), name)) from None

    return ask


def pictures(view: View, many: bool) -> list[Ask]:
    """An uploaded image, and seconds of this video."""
    left, right = st.columns(2)
    asks: list[Ask] = []
    upload = left.file_uploader("An image", type=["png", "jpg", "jpeg", "webp"])
    if upload is not None:
        if upload.size > MOST_BYTES:
            st.error(f"the image has {upload.size / 1e6:.0f} MB: give one below 20 MB")
        else:
            asks.append(by_image(upload.name, upload.getvalue()))
    last = view.seconds[-1]
    if last > 0:
        now = min(view.seconds[current(view.frames)], last)
        span = right.slider("Seconds of this video", 0.0, last, (now, min(now + 0.5, last)))
        alike = right.toggle("Find more like these", key=f"alike {view.key}", disabled=many)
        if alike and not many:  # seconds mean something in one video only
            asks.append(lambda run: run.search_like(*span, top=ACROSS))
    return asks


def here(view: View, asks: list[Ask]) -> None:
    """The answers of this run: curves over time, then the moments of each."""
    found: dict[str, Answer] = {}
    run = searchable(view.key, str(view.run.path))
    for ask in asks:
        with refusals():
            answer = ask(run)
            found[answer.question] = answer
    if found:
        show(view, list(found.values()))
        peek(view)


def show(view: View, found: list[Answer]) -> None:
    """Curves over time, then the moments of each query."""
    last = view.frames - 1
    predicted = {answer.question: answer.relevancy for answer in found}
    true = {a.question: a.true_relevancy for a in found if a.true_relevancy is not None}
    figure = charts.relevancy(found[0].times * last, predicted, true)
    numbers = pd.DataFrame({"frame": found[0].times * last, **predicted})
    charts.show(figure, f"search {view.key}", numbers)
    st.caption(
        "Relevancy, from 0 to 1, is against phrases that fit any picture: at .5 the query fits no "
        "better than these. True is by the true embedding; z is above the video's mean, in "
        "standard deviations."
    )
    for number, answer in enumerate(found):
        st.subheader(answer.question)
        if not answer.moments:
            st.info("No other moment is like it.")
            continue
        if not answer.match:
            st.warning(
                "No clear match: the best moment is not above what this video gives to what is "
                "unrelated. The nearest:",
                icon=":material/search_off:",
            )
        with st.container(key=f"pairs {number}"):
            columns = st.columns(ACROSS)
        for index, moment in enumerate(answer.moments):
            with columns[index % ACROSS]:
                card(view, st.session_state.run, moment, f"{number} {index}")
    export(found, view)


def card(view: View, name: str, moment: Moment, key: str) -> None:
    """A moment of a run: its picture, when it is, how sure."""
    with st.container(border=True):
        picture = true_picture(view, moment.frame)
        if picture is None:
            st.caption("no picture is stored: open its frame to draw it")
        else:
            st.image(picture_url(picture), width="stretch")
        held = "  \n:orange[◆ held out]" if moment.held_out else "  \n:blue[● seen]"
        true = "" if moment.true_relevancy is None else f", true {moment.true_relevancy:.2f}"
        st.markdown(
            f"**{moment.start_seconds:.2f} – {moment.end_seconds:.2f} s**, best at "
            f"{moment.peak_seconds:.2f} s{held}"
        )
        st.caption(f"relevancy {moment.relevancy:.2f}{true}; z {moment.z:+.1f}")
        if st.button(f"Go to frame {moment.frame}", key=f"go {key}"):
            st.session_state.run = name
            go_to(moment.frame)
            st.switch_page("screens/frames.py")


def export(found: list[Answer], view: View) -> None:
    """The moments as CSV and as EDL."""
    from nerv_clip.search import Hit, as_csv, as_edl

    run = searchable(view.key, str(view.run.path))
    about = (run.teacher.id, view.run.path, run.source_fps)
    hits = [
        Hit(answer.question, *about, answer.match, moment)
        for answer in found
        for moment in answer.moments
    ]
    with st.container(horizontal=True):
        for label, text, file in (
            ("Moments as CSV", as_csv(hits), "moments.csv"),
            ("Moments as EDL, for video editors", as_edl(hits), "moments.edl"),
        ):
            st.download_button(label, text, file, icon=":material/download:", on_click="ignore")


def everywhere(asks: list[Ask]) -> None:
    """The same over every run below the folders, their moments ranked together."""
    names = {path: name for name, path in run_names(tuple(map(str, folders()))).items()}
    atomic_write = [stamp(run.best) for run in map(Run, map(Path, names)) if run.best.exists()]
    library = library_of(tuple(map(str, folders())), tuple(atomic_write))
    left_out = list(library.skipped)
    for number, ask in enumerate(asks):
        with refusals():
            hits, refused = library.ask(ask, top=2 * ACROSS)
            left_out += refused
            if not hits:
                continue
            st.subheader(hits[0].question)
            with st.container(key=f"pairs all {number}"):
                columns = st.columns(ACROSS)
            for index, hit in enumerate(hits):
                name = names[str(hit.run)]
                run = run_called(name)
                with columns[index % ACROSS]:
                    st.caption(f"**{name}**" + ("" if hit.match else ", no clear match"))
                    if run is not None:
                        card(read_view(run), name, hit.moment, f"all {number} {index}")
    if left_out:
        with st.expander(f"Runs not searched: {len(left_out)}"):
            for reason in left_out:
                st.caption(reason)


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Search")
    if not embeds(view):
        return
    many = st.segmented_control("Where", ["this run", "all runs"], default="this run") == "all runs"
    asks = [by_text(query) for query in typed(view)]
    with st.expander("By image, or more like a moment"):
        asks += pictures(view, many)
    if not asks:
        st.caption("Type what should be seen, or pick an example.")
    elif many:
        everywhere(asks)
    else:
        here(view, asks)


main(st.session_state.path)
