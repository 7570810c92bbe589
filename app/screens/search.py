"""Moments of a clip by text, image or likeness, in the predicted embeddings."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import charts
import pandas as pd
import streamlit as st
from network import searchable
from player import peek
from reading import View, read_view, true_picture
from state import folders, go_to, kept, run_called, run_names

from nerv_clip import InputError, Run

if TYPE_CHECKING:
    from nerv_clip.search import Answer, Moment

MOST_BYTES = 20_000_000  # of an image that is searched for
ACROSS = 4  # moments beside each other, two on a phone


def examples(view: View) -> list[str]:
    """Queries that this run's teacher certainly knows."""
    if view.config["teacher"]["name"] == "demo":
        return ["a purple kettle", "the tap is running", "the fridge is open", "a pan on the fire",
                "a mug -kettle", "at night", "a blue bottle"]  # fmt: skip
    return ["a person", "a close-up", "text on a screen", "outdoors -people"]


def asked(view: View) -> list[str]:
    """The queries: typed, one a line, or picked from the examples."""
    picked = st.pills("Try", examples(view), key=f"examples {view.key}")
    if picked and picked != st.session_state.get("search picked"):
        st.session_state["search text"] = picked
    st.session_state["search picked"] = picked
    text = st.text_area(
        "Queries, one a line", key=kept("search text", ""), height=90,
        placeholder="a red mug on the table",
        help="-word asks for absence, ^2 is a weight: `a red mug -green apple^0.5`",
    )  # fmt: skip
    return [line.strip() for line in text.splitlines() if line.strip()]


def answers(view: View, queries: list[str]) -> list[Answer]:
    """One answer for each query that can be asked; the others say why not."""
    run = searchable(view.key, str(view.run.path))
    found = []
    for query in queries:
        try:
            found.append(run.search(query, top=6))
        except InputError as error:
            st.error(str(error), icon=":material/error:")
    return found


def by_picture(view: View) -> list[Answer]:
    """What looks like an uploaded image, or like seconds of the clip."""
    left, right = st.columns(2)
    found = []
    upload = left.file_uploader("An image", type=["png", "jpg", "jpeg", "webp"])
    if upload is not None:
        if upload.size > MOST_BYTES:
            st.error(f"the image has {upload.size / 1e6:.0f} MB: give one below 20 MB")
        else:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / Path(upload.name).name
                path.write_bytes(upload.getvalue())
                run = searchable(view.key, str(view.run.path))
                try:
                    found.append(run.search_image(path, top=6))
                except InputError:
                    st.error(f"{upload.name} cannot be read as a picture: give another")
    last = view.seconds[-1]
    if last > 0:
        now = min(view.seconds[min(st.session_state.frame, view.frames - 1)], last)
        span = right.slider("Seconds of this video", 0.0, last, (now, min(now + 0.5, last)))
        if right.toggle("Find more like these", key=f"alike {view.key}"):
            found.append(searchable(view.key, str(view.run.path)).search_like(*span, top=6))
    return found


def show(view: View, found: list[Answer]) -> None:
    """Curves over time, then the moments of each query."""
    last = view.frames - 1
    predicted = {answer.question: answer.relevancy for answer in found}
    true = {a.question: a.true_relevancy for a in found if a.true_relevancy is not None}
    figure = charts.relevancy(found[0].times * last, predicted, true)
    numbers = pd.DataFrame({"frame": found[0].times * last, **predicted})
    charts.show(figure, f"search {view.key}", numbers)
    st.caption(
        "Relevancy, from 0 to 1, is against phrases that fit any picture: .5 is no preference. "
        "True is by the true embedding; z is above the clip's mean, in standard deviations."
    )
    for answer in found:
        st.subheader(answer.question)
        if not answer.match:
            st.warning(
                "No clear match: the best moment is not above what this clip gives to unrelated "
                "texts. The nearest:",
                icon=":material/search_off:",
            )
        with st.container(key=f"pairs {answer.question}"):
            columns = st.columns(ACROSS)
        for index, moment in enumerate(answer.moments):
            with columns[index % ACROSS]:
                card(view, moment, f"{answer.question} {index}")
    table = export(found, view)
    with st.container(horizontal=True):
        st.download_button(
            "Moments as CSV", table[0], "moments.csv", "text/csv", icon=":material/download:"
        )
        st.download_button(
            "Moments as EDL, for video editors", table[1], "moments.edl", icon=":material/download:"
        )


def card(view: View, moment: Moment, key: str) -> None:
    """A moment: its picture, when it is, how sure."""
    with st.container(border=True):
        picture = true_picture(view, moment.frame)
        if picture is not None:
            st.image(picture, width="stretch")
        held = "  \n:orange[◆ held out]" if moment.held_out else "  \n:blue[● seen]"
        true = "" if moment.true_relevancy is None else f", true {moment.true_relevancy:.2f}"
        st.markdown(
            f"**{moment.start_seconds:.2f} – {moment.end_seconds:.2f} s**, best at "
            f"{moment.peak_seconds:.2f} s{held}"
        )
        st.caption(f"relevancy {moment.relevancy:.2f}{true}; z {moment.z:+.1f}")
        if st.button(f"Go to frame {moment.frame}", key=f"go {key}"):
            go_to(moment.frame)
            st.switch_page("screens/frames.py")


def export(found: list[Answer], view: View) -> tuple[str, str]:
    """The moments as CSV and as EDL."""
    from nerv_clip.search import Hit, as_csv, as_edl

    about = (view.config["teacher"]["id"], view.run.path, view.config["clip"]["fps"])
    hits = [
        Hit(answer.question, *about, answer.match, moment)
        for answer in found
        for moment in answer.moments
    ]
    return as_csv(hits), as_edl(hits)


def everywhere(queries: list[str]) -> None:
    """The same over every run below the folders."""
    from network import progress

    from nerv_clip.search import Library, TrainedRun

    library = Library(folders(), start=progress)
    for reason in library.skipped:
        st.caption(f"not searched: {reason}")
    names = {path: name for name, path in run_names(tuple(map(str, folders()))).items()}
    for query in queries:
        st.subheader(query)
        try:
            hits = library.ask(partial(TrainedRun.search, query=query), top=8)
        except InputError as error:
            st.error(str(error), icon=":material/error:")
            continue
        with st.container(key=f"pairs all {query}"):
            columns = st.columns(ACROSS)
        for index, hit in enumerate(hits):
            name = names[str(hit.run)]
            run = run_called(name)
            with columns[index % ACROSS]:
                st.caption(name + ("" if hit.match else " · no clear match"))
                if run is not None:
                    card(read_view(run), hit.moment, f"{query} {index} {name}")


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Search")
    if not view.has_head:
        raise InputError(f"{run.path} has no CLIP head to search: train with --predict_clip")
    many = st.segmented_control("Where", ["this run", "all runs"], default="this run") or "this run"
    queries = asked(view)
    with st.expander("By image, or more like a moment"):
        pictures = by_picture(view)
    if many == "all runs" and queries:
        everywhere(queries)
        return
    found = [*answers(view, queries), *pictures]
    if found:
        show(view, found)
        peek(view)
    else:
        st.caption("Type what should be seen, or pick an example.")


main(st.session_state.path)
