"""Whether a file is as long as its container declares: MP4/MOV, Matroska/WebM, AVI and MPEG-TS.

Demuxers only log that such a file ends early. MPEG-TS declares the length of its packets only, and
other containers declare none.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_ISO_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot", b"sidx"}
)
_TS_PACKET, _TS_SYNC = 188, b"G"  # of ISO/IEC 13818-1
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """How many bytes a file lacks at its end; 0 if it is whole, or declares no length.

    Raises `OSError` where the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2 * _TS_PACKET + 1)
        if head[4:8] in _ISO_BOXES:
            end = _iso_end(file, size)
        elif head[:4] == _EBML:
            end = _matroska_end(file)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            end = _riff_end(file, size)
        elif head[::_TS_PACKET] == 3 * _TS_SYNC:
            end = size + -size % _TS_PACKET
        else:
            return 0
    return max(end - size, 0)


def _iso_end(file: BinaryIO, size: int) -> int:
    """The end of the last top-level box (ISO/IEC 14496-12)."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8:  # 0: up to the end of the file
            return at
        at += length
    return at


def _matroska_end(file: BinaryIO) -> int:
    """The end of the segment (RFC 8794); 0 for a live stream, whose length is unknown."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, 1)
    length = _vint(file) if file.read(4) == _SEGMENT else None
    return 0 if length is None else file.tell() + length


def _vint(file: BinaryIO) -> int | None:
    """A length in EBML's variable format; None if it is unknown or damaged."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(first + rest, "big") & ((1 << 7 * width) - 1)
    return None if len(rest) < width - 1 or value == (1 << 7 * width) - 1 else value


def _riff_end(file: BinaryIO, size: int) -> int:
    """The end of the last RIFF chunk; files above 1 GiB have several."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return at
        at += 8 + struct.unpack("<I", head[4:])[0]
    return at
