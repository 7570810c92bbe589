"""What all tests share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read at import: no test may wait for a network
os.environ["NUMBA_OPT"] = "1"  # UMAP compiles a third faster, and the tests' maps are small

import pytest
import torch
from hypothesis import settings

from tests.runs import train
from tests.samples import write_test_video, write_tiny_clip

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test writes its runs and caches into its own folder, on one thread.

    What other tests leave in the process is undone: training flushes denormal numbers to 0, which
    property tests refuse; Streamlit's AppTest replaces ``__main__``, which new processes run again.
    """
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    torch.set_flush_denormal(False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def video_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video file of 12 frames of 48x80."""
    path = tmp_path_factory.mktemp("video") / "moving.mp4"
    write_test_video(path)
    return path


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny CLIP of 16 dimensions."""
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, video_file: Path) -> Path:
    """A small trained run without a CLIP head, not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trained"))
        return train(video_file).resolve()


@pytest.fixture
def run(_own_place: None, trained_once: Path) -> Path:
    """A copy of a small trained run without a CLIP head, as ``output/run``."""
    return Path(shutil.copytree(trained_once, "output/run"))
