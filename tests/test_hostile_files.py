"""Files that claim too much, or are no files: refused with one line, in little memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from nerv_clip import InputError, Run, find_runs, load_video
from nerv_clip.evaluation.results import COLUMNS
from nerv_clip.files import file_hash
from nerv_clip.models.checkpoint import load_checkpoint, load_model, save_checkpoint
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.runs.finding import scan_folders
from nerv_clip.search.library import Library
from nerv_clip.teacher.loading import known_dim, load_tokenizer
from nerv_clip.video.comparison import read_layout, read_pairs, read_samples, read_stream
from nerv_clip.video.reader import read_image

ROOT = Path(__file__).parents[1]
KITCHEN = ROOT / "checkpoints" / "kitchen"
BIG = 10**9


@pytest.fixture
def kitchen(tmp_path: Path) -> Run:
    """A copy of the shipped run, without its video."""
    ignored = shutil.ignore_patterns("comparison.mp4")
    return Run(shutil.copytree(KITCHEN, tmp_path / "runs" / "kitchen", ignore=ignored))


def changed_config(**changes: dict[str, Any]) -> str:
    """The shipped ``config.json`` with other values in its sections, and in its only network."""
    content = json.loads((KITCHEN / "config.json").read_text())
    for section, values in changes.items():
        known = {name: value for name, value in values.items() if name in content[section]}
        content[section] |= known if section == "architecture" else values
    (segment,) = content["architecture"]["segments"]
    segment["network"] |= changes.get("architecture", {})
    return json.dumps(content)


def test_directories_that_are_no_runs_are_skipped_and_named(kitchen: Run) -> None:
    folder = kitchen.path.parent
    for name in (b"deep", b"pipe", b"named \xff\xfe", b"text", b"large"):
        bad = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        bad.mkdir()
        (bad / "model_best.pth").touch()
        shutil.copy(kitchen.config, bad)
    (folder / "deep/config.json").write_text(100_000 * "[")
    (folder / "text/config.json").write_text('{"format": 1, "video": "\\ud800", "train": 1}')
    os.truncate(folder / "large/config.json", 10**12)  # sparse
    (folder / "pipe/config.json").unlink()
    os.mkfifo(folder / "pipe/config.json")
    found = scan_folders([folder])
    assert [run.path.name for run in found.runs] == ["kitchen"]
    assert len(found.skipped) == 5
    for part in ("deep", "pipe/config.json is not a regular", "\\udcff", "text", "large/config"):
        assert sum(part in line for line in found.skipped) == 1, part
    assert "\n".join(found.skipped).encode().count(b"\n") == 4
    assert Library([folder]).skipped == found.skipped


def test_runs_that_are_deleted_during_a_scan_do_not_end_it(kitchen: Run) -> None:
    folder = kitchen.path.parent
    for name in ("a", "b"):
        shutil.copytree(kitchen.path, folder / name)

    def deleting() -> Iterator[Path]:
        """Folders to scan; a run is deleted after it was found, and before it is read."""
        yield folder
        shutil.rmtree(folder / "a")
        (folder / "b" / "config.json").unlink()
        yield folder / "none"

    found = scan_folders(deleting())
    assert [run.path.name for run in found.runs] == ["kitchen"]
    assert [line.split("runs/")[1][0] for line in found.skipped] == ["a", "b"]


def test_run_with_impossible_numbers_is_refused_by_search(kitchen: Run) -> None:
    bad = kitchen.path.parent / "many"
    shutil.copytree(kitchen.path, bad)
    numbers = {"frames": BIG}
    (bad / "config.json").write_text(changed_config(video=numbers, architecture=numbers))
    (line,) = Library([kitchen.path.parent]).skipped
    assert "frames 1000000000" in line
    assert "is out of range" in line


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architecture": {"clip_dim": 10**7}}, "clip_dim"),
        ({"architecture": {"blocks": 20_000}}, "blocks"),
        ({"architecture": {"strides": [8192] * 2}}, "pixels"),
        ({"architecture": {"widths": [1] * 1000}}, "widths"),
        ({"architecture": {"act": 1000 * "x"}}, "act"),
        ({"video": {"frames": 301}}, "frames"),
        ({"video": {"timestamps": []}}, "timestamps"),
        ({"video": {"fps": float("nan")}}, "finite"),
        ({"split": {"rule": "0_0_0"}}, "data_split"),
    ],
)
def test_config_out_of_range_is_refused(
    kitchen: Run, changes: dict[str, dict[str, Any]], named: str
) -> None:
    kitchen.config.write_text(changed_config(**changes))
    with pytest.raises(InputError, match=named):
        kitchen.read_config()


def test_links_out_of_a_run_are_not_followed(kitchen: Run, tmp_path: Path) -> None:
    outside = tmp_path / "secret.json"
    kitchen.config.rename(outside)
    kitchen.config.symlink_to(outside)
    with pytest.raises(InputError, match="link to another folder"):
        kitchen.read_config()
    assert find_runs([kitchen.path.parent]) == []
    outside.rename(kitchen.path / "first.json")
    kitchen.config.unlink()
    kitchen.config.symlink_to("first.json")  # within the run
    assert kitchen.read_config().video.frames == 300


def test_stream_that_is_a_link_or_names_other_files_is_not_read(
    kitchen: Run, tmp_path: Path
) -> None:
    stream = KITCHEN / "comparison.mp4"
    assert read_layout(stream, 360, 640).frames == len(read_samples(stream).sizes) == 300
    outside = tmp_path / "secret.mp4"
    shutil.copy(stream, outside)
    kitchen.comparison.symlink_to(outside)
    reads: list[Callable[[], object]] = [
        lambda: read_layout(kitchen.comparison, 360, 640),
        lambda: read_samples(kitchen.comparison),
        lambda: list(read_pairs(kitchen.comparison, [3], 360, 640)),
        lambda: read_stream(kitchen.comparison),
    ]
    for read in reads:
        with pytest.raises(InputError, match="link to another folder"):
            read()
    kitchen.comparison.unlink()
    kitchen.comparison.write_text("ffconcat version 1.0\nfile other.mp4\n")
    shutil.copy(stream, kitchen.path / "other.mp4")
    for read in reads[:3]:
        with pytest.raises(InputError, match="cannot be read"):
            read()


def test_lock_that_is_a_link_leaves_the_file_that_it_names(kitchen: Run, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (kitchen.path / ".lock").unlink(missing_ok=True)
    (kitchen.path / ".lock").symlink_to(mine)
    with pytest.raises(InputError, match="cannot write"), kitchen.locked():
        pass
    assert mine.read_text() == "mine"


def test_pipes_in_a_run_do_not_block(kitchen: Run) -> None:
    for path in (kitchen.metrics, kitchen.path / ".lock", kitchen.status):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert not kitchen.in_training
    assert kitchen.read_status() is None
    for read in (kitchen.read_metrics, lambda: file_hash(kitchen.metrics)):
        with pytest.raises(InputError, match="not a regular file"):
            read()
    with pytest.raises(InputError, match="not a regular file"):
        load_video(kitchen.metrics)


def peak(read: Callable[[], object]) -> int:
    """Bytes by which the peak of this process's memory grows, in a process of its own."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with suppress(InputError):
                read()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            os.write(writer, str(1024 * grown).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return int(found)


def changed_checkpoint(kitchen: Run, architecture: dict[str, Any]) -> None:
    """Write the shipped checkpoint with other values in its architecture."""
    content = load_checkpoint(KITCHEN / "model_best.pth")
    content["architecture"]["segments"][0]["network"] |= architecture
    save_checkpoint(content, kitchen.best)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"clip_dim": 10**7}, "clip_dim"),
        ({"blocks": 20_000}, "blocks"),
        ({"frames": BIG}, "frames"),
        ({"grids": ((BIG, 4),)}, "grids"),
        ({"clip_dim": 16_384}, "do not fit"),  # possible, but not in this file
        ({"stem_width": 10_000}, "do not fit"),
        ({"blocks": 64}, "do not fit"),
        ({"embed": "xyt_999999999_20_20_4"}, "do not fit"),
        ({"embed": "xyt_" + 50 * "9" + "_20_20"}, "do not fit"),
        ({"act": "eval"}, "do not fit"),
        ({"conv_type": "nonsense"}, "do not fit"),
    ],
)
def test_checkpoint_of_a_network_that_is_too_large_is_refused(
    kitchen: Run, changes: dict[str, Any], named: str
) -> None:
    changed_checkpoint(kitchen, changes)
    with pytest.raises(InputError, match=rf"model_best\.pth.*{named}"):
        load_model(kitchen.best)
    assert peak(lambda: load_model(kitchen.best)) < 100e6


def test_codes_are_not_inflated_beyond_their_number(kitchen: Run) -> None:
    content = load_checkpoint(KITCHEN / "model_best.pth")
    bomb = zlib.compress(bytes(500_000_000), 9)
    content["weights"][0]["codes"] = torch.frombuffer(bytearray(bomb), dtype=torch.uint8)
    save_checkpoint(content, kitchen.best)
    del content, bomb
    with pytest.raises(InputError, match="do not fit"):
        load_model(kitchen.best)
    assert peak(lambda: load_model(kitchen.best)) < 100e6


def test_tensor_without_its_own_memory_is_refused(kitchen: Run) -> None:
    content = load_checkpoint(KITCHEN / "model_best.pth")
    content["weights"][0]["codes"] = torch.zeros(1, dtype=torch.uint8).expand(BIG)
    save_checkpoint(content, kitchen.best)
    with pytest.raises(InputError, match="do not fit"):
        load_model(kitchen.best)


def rewritten(path: Path, change: Callable[[bytes], bytes], compression: int = ZIP_STORED) -> None:
    """Write an archive again, with another pickle in it."""
    with ZipFile(KITCHEN / "model_best.pth") as before, ZipFile(path, "w", compression) as after:
        for info in before.infolist():
            data = before.read(info)
            after.writestr(info.filename, change(data) if "data.pkl" in info.filename else data)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"ctorch\nDoubleStorage\n", b"ctorch\nFloatStorage\n"),  # another size than the member
        (b"ctorch\nByteStorage\n", b"cbuiltins\nbytearray\n"),
        (b"ccollections\nOrderedDict\n", b"ccollections\nCounter\n"),
    ],
)
def test_forged_pickle_is_refused(kitchen: Run, before: bytes, after: bytes) -> None:
    rewritten(kitchen.best, lambda program: program)
    assert load_model(kitchen.best).arch.frames == 300
    rewritten(kitchen.best, lambda program: program.replace(before, after))
    with pytest.raises(InputError, match="damaged or not a checkpoint"):
        load_model(kitchen.best)


def test_compressed_checkpoint_is_refused(kitchen: Run) -> None:
    rewritten(kitchen.best, lambda program: program, ZIP_DEFLATED)
    with pytest.raises(InputError, match="damaged or not a checkpoint"):
        load_model(kitchen.best)


def test_checkpoint_that_is_a_pipe_or_a_link_is_refused(kitchen: Run, tmp_path: Path) -> None:
    kitchen.best.rename(tmp_path / "other.pth")
    kitchen.best.symlink_to(tmp_path / "other.pth")
    with pytest.raises(InputError, match="link to another folder"):
        load_model(kitchen.best)
    kitchen.best.unlink()
    os.mkfifo(kitchen.best)
    with pytest.raises(InputError, match="not a regular file"):
        load_model(kitchen.best)


def npy_of(shape: tuple[int, ...], dtype: str = "<f2", data: bytes = b"") -> bytes:
    """An ``.npy`` file that states a shape, whatever it holds."""
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)  # type: ignore[no-untyped-call]
    return file.getvalue() + data


@pytest.mark.parametrize(
    "content",
    [
        npy_of((10**12, 512)),
        npy_of((10**30, 512)),
        npy_of((300, 512), data=bytes(300 * 512)),  # half
        npy_of((300, 512), data=bytes(300 * 512 * 3)),  # more
        npy_of((0, 512)),
        npy_of((300, 512), "<U8", bytes(300 * 512 * 32)),
        b"\x93NUMPY\x01\x00" + b"\xff\xff" + 65_535 * b"(",
        b"",
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_array_that_states_another_size_is_refused(
    tmp_path: Path, content: bytes, mapped: bool
) -> None:
    (tmp_path / "true.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"true\.npy"):
        read_array(tmp_path / "true.npy", mapped=mapped)
    with ZipFile(tmp_path / "baselines.npz", "w") as archive:
        archive.writestr("blend.npy", content)
    with pytest.raises(InputError, match=r"baselines\.npz"):
        read_arrays(tmp_path / "baselines.npz", ["blend"])


def test_array_of_another_shape_is_refused(kitchen: Run) -> None:
    assert read_array(kitchen.true, (300, 512)).shape == (300, 512)
    with pytest.raises(InputError, match=r"\(300, 512\), but the run needs \(301, any\)"):
        read_array(kitchen.true, (301, None), mapped=True)


def test_unknown_and_oversized_members_are_not_inflated(kitchen: Run) -> None:
    with ZipFile(kitchen.baselines, "a", ZIP_DEFLATED) as archive:
        archive.writestr("unknown.npy", bytes(300_000_000))
    assert peak(lambda: read_arrays(kitchen.baselines, ["blend"], (300, 512))) < 20e6
    assert read_arrays(kitchen.baselines, ["blend", "none"], (300, 512)).keys() == {"blend"}
    with ZipFile(kitchen.baselines, "w", ZIP_DEFLATED) as archive:
        archive.writestr("blend.npy", npy_of((300, 512), data=bytes(300_000_000)))
    with pytest.raises(InputError, match="damaged"):
        read_arrays(kitchen.baselines, ["blend"], (300, 512))
    assert peak(lambda: read_arrays(kitchen.baselines, ["blend"], (300, 512))) < 20e6


@pytest.mark.parametrize("name", ["model_best.pth", "baselines.npz"])
def test_archive_of_many_members_takes_little_memory(kitchen: Run, name: str) -> None:
    count = 200_000
    local = struct.pack("<4s5H3L2Hs", b"PK\3\4", *[0] * 8, 1, 0, b"a")
    entry = struct.pack("<4s6H3L5H2Ls", b"PK\1\2", *[0] * 9, 1, *[0] * 6, b"a")
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, count * len(entry), len(local), 0)
    path = kitchen.path / name
    path.write_bytes(local + count * entry + end)

    def read() -> object:
        return load_model(path) if path == kitchen.best else read_arrays(path, ["blend"])

    with pytest.raises(InputError, match="damaged"):
        read()
    assert peak(read) < 15e6  # ZipFile would take 70 MB


HEADER = ",".join(COLUMNS) + "\n"
ROW = "0,0.0,train,1,1,1,1,1\n"


@pytest.mark.parametrize(
    "content",
    [
        (1_000_000 * "a,") + "a\n",  # a column name cannot be this often
        HEADER + 1_000_000 * "1," + "\n",
        HEADER + 600_000 * ROW,
        HEADER + ROW.replace("train", "test"),
        HEADER + ROW.replace("0.0", "zero"),
        HEADER.replace("psnr", "noise") + ROW,
        HEADER.replace(",", ";") + ROW,
        HEADER + '"' + ROW,
        "",
        "\x00",
    ],
)
def test_table_that_is_damaged_or_too_large_is_refused(kitchen: Run, content: str) -> None:
    assert len(kitchen.read_per_frame()) == 300
    kitchen.per_frame.write_text(content)
    with pytest.raises(InputError, match="per_frame"):
        kitchen.read_per_frame()


def test_rows_of_a_history_without_an_epoch_are_left_out(kitchen: Run) -> None:
    assert len(kitchen.read_history())
    kitchen.history.write_text("epoch,psnr\n1,20\n,30\n")
    assert kitchen.read_history()["epoch"].tolist() == [1]


@pytest.mark.parametrize("kind", ["bomb", "cut", "latin", "absent"])
def test_damaged_vocabulary_of_an_encoder_is_refused(tmp_path: Path, kind: str) -> None:
    folder = Path(shutil.copytree(ROOT / "checkpoints" / "demo_clip", tmp_path / "demo"))
    load_tokenizer(f"local-dir:{folder}")(["a red mug"])
    path = folder / "bpe.txt.gz"
    content = {"bomb": bytes(100_000_000), "latin": b"\xff\xfe", "cut": path.read_bytes()}
    if kind == "absent":
        path.unlink()
    else:
        path.write_bytes(gzip.compress(content[kind])[: -9 if kind == "cut" else None])
    with pytest.raises(InputError, match=r"bpe\.txt\.gz"):
        load_tokenizer(f"local-dir:{folder}")
    assert peak(lambda: load_tokenizer(f"local-dir:{folder}")) < 50e6


@pytest.mark.parametrize(
    "config", ["[]", "{}", '{"model_cfg": 1}', '{"model_cfg": {"text_cfg": 1}}']
)
def test_encoder_config_that_describes_no_model_is_refused(tmp_path: Path, config: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(config)
    with pytest.raises(InputError, match=r"open_clip_config\.json"):
        known_dim(f"local-dir:{tmp_path}")


def test_chunk_of_an_image_that_states_4_gb_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.effect_noise((40, 30), 50).save(path)
    data = path.read_bytes()
    start = data.index(b"IDAT") - 4
    path.write_bytes(data[:start] + b"\xff\xff\xff\xff" + data[start + 4 :])
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + BIG

    def read_with_1_gb() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        with suppress(InputError):
            read_image(path)

    assert peak(read_with_1_gb) < 50e6


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_image_with_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "small.webp"
    Image.new("RGB", (16, 16), "red").save(path, lossless=True)
    data = bytearray(path.read_bytes())
    start = data.index(b"VP8L") + 9  # 14 bits each: width - 1, height - 1
    sides = int.from_bytes(data[start : start + 4], "little")
    sides = sides >> 28 << 28 | 12_999 << 14 | 12_999
    data[start : start + 4] = sides.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError, match="13000x13000 pixels"):
        read_image(path)
    assert peak(lambda: read_image(path)) < 50e6
