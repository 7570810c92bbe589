"""A byte-pair vocabulary of the words of the grammar, in the format of open_clip's tokenizer."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from nerv_clip.files import atomic_write
from nerv_clip.teacher.names import WORDS

BPE = "bpe.txt.gz"


def learn_merges(words: Iterable[str]) -> list[tuple[str, str]]:
    """Byte-pair merges (Sennrich et al., 2016) that make each of ``words`` one token.

    Words are lower-case ASCII.
    """
    pieces = [[*word[:-1], f"{word[-1]}</w>"] for word in sorted(set(words))]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in pieces):
        pairs = Counter(pair for word in pieces for pair in pairwise(word))
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        pieces = [_merged(word, best) for word in pieces]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def vocabulary_size(merges: list[tuple[str, str]]) -> int:
    """The number of tokens of open_clip's SimpleTokenizer: bytes, merges, and start and end."""
    return 2 * 256 + len(merges) + 2


def write_vocabulary(folder: Path, words: Iterable[str]) -> list[tuple[str, str]]:
    """Write the merges and the list of words into a folder; returns the merges."""
    words = sorted(set(words))
    merges = learn_merges(words)
    lines = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)])
    with atomic_write(folder / BPE) as temporary:
        temporary.write_bytes(gzip.compress(lines.encode(), mtime=0))
    with atomic_write(folder / WORDS) as temporary:
        temporary.write_text("\n".join(words) + "\n", encoding="utf-8")
    return merges
