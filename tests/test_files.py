"""Files and caches that several threads and processes write at once, and what killed ones leave."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from nerv_clip import InputError, load_clip_encoder, load_video
from nerv_clip.cache import cached
from nerv_clip.evaluation.projection import Projection
from nerv_clip.files import atomic_write, exclusive, sweep, user_cache
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import solve
from nerv_clip.runs.embedding_map import load_map
from nerv_clip.runs.run import Run
from nerv_clip.search.index import load_index
from nerv_clip.teacher.embeddings import embed_video
from nerv_clip.video.spec import VideoSpec


def read(path: Path) -> str | None:
    """A product of the cache that is valid if it begins with 'made'."""
    try:
        text = path.read_text()
    except (OSError, ValueError):
        return None
    return text if text.startswith("made") else None


def in_threads(count: int, work: Callable[[], str]) -> list[str]:
    """The results of calls that begin at the same moment."""
    barrier = threading.Barrier(count)

    def call() -> str:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(call) for _ in range(count)]
        return [made.result() for made in calls]


def test_a_product_is_made_once_for_many_threads(tmp_path: Path) -> None:
    path, made = tmp_path / "cache" / "product.txt", []

    def make(place: Path) -> None:
        made.append(threading.get_ident())
        with atomic_write(place) as temporary:
            temporary.write_text(f"made {len(made)}")

    assert in_threads(8, lambda: cached(path, read, make)) == ["made 1"] * 8
    assert len(made) == 1
    assert [item.name for item in path.parent.iterdir()] == [path.name]  # neither lock nor partial


def test_a_product_is_made_once_for_two_processes(tmp_path: Path) -> None:
    code = """if True:
        import sys, time
        from pathlib import Path
        from nerv_clip.cache import cached
        folder = Path(sys.argv[1])
        def make(path):
            with (folder / "log").open("a") as log:
                log.write("made\\n")
            time.sleep(0.2)
            path.write_text("made")
        read = lambda path: path.read_text() if path.exists() else None
        cached(folder / "product", read, make)
    """
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "made\n"


@pytest.mark.parametrize("damage", ["other text", b"\xff\xfe", None])
def test_a_damaged_product_is_made_again(tmp_path: Path, damage: str | bytes | None) -> None:
    path = tmp_path / "product.txt"
    if damage is None:
        (path / "folder").mkdir(parents=True)
    else:
        path.write_bytes(damage.encode() if isinstance(damage, str) else damage)

    def make(place: Path) -> None:
        with atomic_write(place) as temporary:
            temporary.write_text("made")

    assert cached(path, read, make) == "made"
    assert path.read_text() == "made"


def test_a_product_that_stays_invalid_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not valid after it was written"):
        cached(tmp_path / "product", read, lambda path: path.touch())


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*file"):
        cached(tmp_path / "file" / "product", read, lambda _: None)


def test_writers_of_one_file_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    with atomic_write(path) as first, atomic_write(path) as second:  # nested: one thread
        assert first != second
        assert {first.suffix, second.suffix} == {".txt"}
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_a_killed_process_are_swept_and_nothing_else(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from pathlib import Path
        from nerv_clip.files import atomic_write, exclusive
        path = Path(sys.argv[1])
        with exclusive(path), atomic_write(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / "p.txt")], timeout=60)
    assert killed.returncode < 0
    assert len(list(tmp_path.iterdir())) == 2
    mine = tmp_path / ".2024.notes"
    earlier = [tmp_path / f".4242.14012345678901{i}.model_best.pth" for i in range(2)]
    for file in (mine, *earlier):
        file.touch()
    for file in (mine, earlier[0]):
        os.utime(file, (0, time.time() - 90_000))
    path = tmp_path / "other.txt"
    with exclusive(path), atomic_write(path) as temporary:
        temporary.write_text("whole")
        sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, earlier[1], path])
    with Run(tmp_path).locked():
        assert mine.exists()


def test_what_cannot_be_removed_at_the_end_hides_no_other_error(tmp_path: Path) -> None:
    run = Run(tmp_path)

    def fail() -> None:
        with run.locked(), atomic_write(tmp_path / "c.txt") as temporary:
            for path in (run.status, temporary):  # unlink() fails, as on a read-only file system
                path.unlink(missing_ok=True)
                path.mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert run.status.is_dir()


def test_no_home_folder_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError("uid not found")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)  # as in a container started with --user
    with pytest.raises(InputError, match="set XDG_CACHE_HOME"):
        user_cache()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A network of 6 frames with a CLIP head of 8 dimensions."""
    config = ModelConfig(predict_clip=True, clip_dim=8, modelsize=0.05, lower_width=4)
    torch.manual_seed(0)
    path = tmp_path / "model_best.pth"
    export_model(NeRVClip(solve(config, 6, 6, 48, 80), with_encoder=False), path, {})
    return path


def test_an_index_of_another_shape_or_with_nan_is_made_again(checkpoint: Path) -> None:
    right = np.array(load_index(checkpoint, 4))
    assert right.shape == (21, 8)
    (path,) = (user_cache() / "indexes").iterdir()
    with_nan = right.copy()
    with_nan[3, 2] = np.nan
    for wrong in (right[:5], right[:, :4], right.astype(np.float32), with_nan, right[0]):
        np.save(path, wrong)
        np.testing.assert_array_equal(load_index(checkpoint, 4), right)
        np.testing.assert_array_equal(np.load(path), right)


def test_true_embeddings_of_another_kind_are_made_again(video_file: Path, teacher: str) -> None:
    encoder, video = load_clip_encoder(teacher), load_video(VideoSpec(video_file))
    right = embed_video(encoder, video)
    (path,) = (user_cache() / "embeddings").iterdir()
    for wrong in (right[:5], right.double(), right * torch.nan):
        np.save(path, wrong.numpy())
        assert torch.equal(embed_video(encoder, video), right)


def test_a_map_with_nan_or_of_another_shape_is_fitted_again(tmp_path: Path) -> None:
    run, pca = Run(tmp_path), Projection("PCA")
    rng = np.random.default_rng(0)
    for place in (run.true, run.predicted):
        np.save(place, rng.standard_normal((12, 8)))
    right = load_map(run, pca)
    (path,) = (user_cache() / "maps").iterdir()
    stored = dict(np.load(path))
    for wrong in ({"true": stored["true"] * np.nan}, {"predicted": stored["predicted"][:, :1]}):
        np.savez(path, **{**stored, **wrong})
        np.testing.assert_array_equal(load_map(run, pca), right)


def on_a_file_system(options: str, code: str) -> str:
    """The standard output of Python code that runs in a folder of its own file system."""
    script = """
        mount -t tmpfs -o size=1m none "$1" || exit 77
        cd "$1" && touch present && mount -o "remount,$2" "$1" && exec "$3" -c "$4"
    """
    folder = Path("mounted")
    folder.mkdir(exist_ok=True)
    mounted = ["unshare", "-rm", "sh", "-c", script, "sh", str(folder.resolve()), options]
    try:
        done = subprocess.run(
            [*mounted, sys.executable, code], capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        pytest.skip("unshare is not installed")
    if done.returncode in (1, 77) and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip("mounting a file system is not allowed here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_system_that_is_read_only_or_full_is_one_line() -> None:
    code = """if True:
        from pathlib import Path
        from nerv_clip import InputError
        from nerv_clip.files import atomic_write
        try:
            with atomic_write(Path("present")) as temporary:
                temporary.write_bytes(bytes(2_000_000))
        except InputError as error:
            print(error, sorted(map(str, Path().iterdir())))
    """
    curves = """if True:
        from pathlib import Path
        from nerv_clip.runs.tensorboard import Curves
        with Curves(Path("."), 0, print):
            pass
    """
    line = on_a_file_system("nr_inodes=2", curves)  # the folder itself, and a file
    assert line.startswith("cannot write the curves of TensorBoard (No space left on device)")
    for options, reason in (("ro", "Read-only file system"), ("size=1m", "No space left")):
        line = on_a_file_system(options, code)
        assert line.startswith(f"cannot write present: {reason}")
        assert line.endswith("['present']\n")
