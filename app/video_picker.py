"""The video of a training: an upload, or a file in the data folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import streamlit as st
from file_names import short_name
from widgets import input_errors

from nerv_clip.files import atomic_write, exclusive, file_hash, make_folder, sweep
from nerv_clip.video.reader import ANIMATION_SUFFIXES, IMAGE_SUFFIXES, VIDEO_SUFFIXES

UPLOADS = Path("data/uploads")
MOST_BYTES = 500_000_000  # of an uploaded video


def video_picker() -> Path | None:
    """The selected video; None before one is selected."""
    upload_tab, folder_tab = st.tabs(["Upload", "From the data folder"])

    def select() -> None:
        st.session_state.video = st.session_state["picked video"] or st.session_state.video

    def save_upload() -> None:
        file = st.session_state["uploaded video"]
        if file is not None and file.size <= MOST_BYTES:
            with input_errors():
                st.session_state.video = str(store_upload(file.name, file.getvalue()))

    st.session_state.setdefault("video", None)
    with upload_tab:
        file = st.file_uploader(
            "Video, or animated image",
            type=sorted(suffix[1:] for suffix in VIDEO_SUFFIXES | ANIMATION_SUFFIXES),
            key="uploaded video", on_change=save_upload,
        )  # fmt: skip
        if file is not None and file.size > MOST_BYTES:
            st.error(f"The file has {file.size / 1e6:.0f} MB. The limit is 500 MB.")
    with folder_tab:
        choices = [str(path) for path in find_videos(Path("data"))]
        if choices:
            st.selectbox(
                "Video, or folder of images", choices, index=None,
                key="picked video", on_change=select,
            )  # fmt: skip
        else:
            st.caption("There is no video in `data/` yet.")
    chosen = st.session_state.video
    return Path(chosen) if chosen and Path(chosen).exists() else None


def find_videos(folder: Path) -> list[Path]:
    """Videos, and folders of images, in a folder and its subfolders."""
    if not folder.is_dir():
        return []
    files = sorted(folder.rglob("*"))
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    images = {path.parent for path in files if path.suffix.lower() in IMAGE_SUFFIXES}
    return [*videos, *sorted(images)]


def store_upload(name: str, content: bytes) -> Path:
    """Save an upload; another video of the same name is not overwritten."""
    path = make_folder(UPLOADS) / short_name(name)
    digest = hashlib.sha256(content).hexdigest()
    with exclusive(path):
        sweep(UPLOADS)
        if path.exists() and (path.stat().st_size != len(content) or file_hash(path) != digest):
            path = path.with_stem(f"{path.stem}-{digest[:8]}")
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
    return path
