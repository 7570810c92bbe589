"""Two sessions of the app at once, damaged caches, and files that cannot be written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from nerv_clip import InputError
from nerv_clip.runs.run import Run

APP = Path(__file__).parents[1] / "app"


@pytest.fixture(autouse=True)
def _app_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(APP))


def together(*work: Callable[[], object]) -> list[object]:
    """The results of calls that begin at the same moment."""
    barrier = threading.Barrier(len(work))

    def call(of: Callable[[], object]) -> object:
        barrier.wait()
        return of()

    with ThreadPoolExecutor(len(work)) as pool:
        return [call.result() for call in [pool.submit(call, of) for of in work]]


def test_two_sessions_draw_one_stream_once(run: Path) -> None:
    from comparison_stream import playable_stream
    from run_view import read_view, redrawn_stream, stored_reconstruction

    view = read_view(Run(run))
    before = stored_reconstruction(view, 3)
    assert before is not None
    content = view.run.comparison.read_bytes()
    view.run.comparison.write_bytes(content[: len(content) // 2])
    found = together(*[lambda: playable_stream(view)] * 3)
    stream = redrawn_stream(view)
    assert found == [stream] * 3
    assert list(stream.parent.iterdir()) == [stream]
    after = stored_reconstruction(view, 3)
    assert after is not None
    assert abs(after.astype(float) - before).mean() < 1

    for damaged in (stream.read_bytes()[:2000], b"no video", b""):
        stream.write_bytes(damaged)  # the next visit draws it again
        assert playable_stream(view) == stream
        assert stored_reconstruction(view, 3) is not None


def test_uploads_of_one_name_are_kept_apart() -> None:
    from video_picker import store_upload

    for name in ("a.mp4", "b.mp4", "c.mp4"):
        contents = [bytes([i]) * 100_000 for i in range(6)] * 2
        stored = together(*(partial(store_upload, name, content) for content in contents))
        assert len(set(stored)) == 6
        for path, content in zip(stored, contents, strict=True):
            assert isinstance(path, Path)
            assert path.read_bytes() == content
    assert len(list(Path("data/uploads").iterdir())) == 18


def test_a_file_replaced_by_one_of_equal_size_and_time_has_another_stamp(tmp_path: Path) -> None:
    from run_view import stamp

    path, other = tmp_path / "a.pth", tmp_path / "b.pth"
    path.write_bytes(b"first")
    before, about = stamp(path), path.stat()
    path.write_bytes(b"other")  # in place: the same inode
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    in_place = stamp(path)
    other.write_bytes(b"third")
    os.utime(other, ns=(about.st_atime_ns, about.st_mtime_ns))
    other.replace(path)
    assert len({before, in_place, stamp(path)}) == 3
    path.unlink()
    with pytest.raises(InputError, match=r"a\.pth cannot be read"):  # one line on the page
        stamp(path)


def test_a_verification_that_fails_says_so() -> None:
    from verification_job import VerificationJob, _verify

    job = VerificationJob()
    with pytest.raises(TypeError):  # for the log of the server
        _verify(job, None)  # type: ignore[arg-type]  # stands for any fault of the program
    assert job.finished
    assert job.error.startswith("The verification failed: TypeError")
