"""Ask before a run's teacher is loaded from the internet: a run may come from someone else."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st
from literal import literal

from nerv_clip import InputError
from nerv_clip.runs.config import TeacherRecord
from nerv_clip.teacher.names import RANDOM, local_folder, read_folder_config


def _allowed() -> set[tuple[str, str | None]]:
    """Teachers that the user allowed in this session of the browser."""
    found: set[tuple[str, str | None]] = st.session_state.setdefault("allowed teachers", set())
    return found


def on_this_machine(teacher: TeacherRecord) -> bool:
    """Whether loading a teacher contacts no other machine.

    A local folder whose config names a model or a tokenizer of a hub contacts it.
    """
    folder = local_folder(teacher.model)
    if folder is not None:
        try:
            return "hf_" not in json.dumps(read_folder_config(folder))
        except InputError:
            return True  # loading it fails, with this error
    weights = teacher.pretrained or ""
    return ":" not in teacher.model and (weights.startswith(RANDOM) or Path(weights).is_file())


def may_load(teacher: TeacherRecord) -> bool:
    """Whether a teacher may be loaded without asking."""
    return on_this_machine(teacher) or (teacher.model, teacher.pretrained) in _allowed()


def allowed_to_load(teacher: TeacherRecord) -> bool:
    """Whether a teacher may be loaded; if not yet, the page asks."""
    if may_load(teacher):
        return True
    name = " ".join(filter(None, [teacher.model, teacher.pretrained]))
    place = st.empty()
    with place.container(border=True):
        st.markdown(
            f"This needs the run's teacher, {literal(name)}. Loading it contacts the site that has "
            "its weights, even if they were downloaded before. Continue only if you trust where "
            "this run came from."
        )
        if not st.button("Load the teacher", icon=":material/cloud_download:"):
            return False
    _allowed().add((teacher.model, teacher.pretrained))
    place.empty()
    return True
