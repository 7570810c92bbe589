"""Texts of a teacher that every search uses: unrelated texts, and names of states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from nerv_clip.errors import InputError
from nerv_clip.reading import read_json
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.names import PHRASES

UNRELATED = (
    "an oil tanker at sea", "a page of sheet music", "a polar bear on ice", "a rugby scrum",
    "an X-ray of a hand", "a satellite photo of a city", "a medieval tapestry", "a coral reef",
    "a rocket on its launch pad", "a chessboard seen from above", "a herd of zebras",
    "a snowy mountain peak", "a subway map", "a steam locomotive", "a wedding cake",
    "a hot air balloon", "the surface of the moon", "a violin on a velvet cloth",
    "a courtroom with a judge", "a tractor ploughing a field", "a spider's web with dew",
    "a container ship in a harbour", "a ballet dancer on stage", "a wind farm", "an igloo",
    "a row of gravestones", "an erupting volcano", "a newspaper's front page", "a camel caravan",
    "a surgeon operating", "a pile of gold coins", "a Formula 1 car in a pit stop",
    "a bowl of ramen with an egg", "a lighthouse in a storm", "a parrot on a branch",
    "a circuit board", "a hockey goalkeeper", "a field of sunflowers", "a cathedral's nave",
    "a submarine's control room",
)  # fmt: skip


class Phrases(NamedTuple):
    """``unrelated`` texts tell how high a text scores that the video does not show.

    A video may show some of them. ``states`` are texts that are terms of their own at the end of a
    query, such as "at night", because the teacher does not bind them to what precedes.
    """

    unrelated: tuple[str, ...]
    states: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Listed:
    """The content of ``phrases.json``; other keys, such as those of older files, are ignored."""

    unrelated: tuple[str, ...]
    states: tuple[str, ...] = ()


def form_of(text: str, unrelated: Sequence[str]) -> tuple[str, str] | None:
    """What stands before and after the longest unrelated text within a text; None without one.

    >>> form_of("a hand holds a red mug", ["a red mug", "a pan"])
    ('a hand holds ', '')
    """
    for phrase in sorted(unrelated, key=len, reverse=True):
        found = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE)
        if found:
            form = text[: found.start()], text[found.end() :]
            return form if any(form) else None
    return None


MAX_TEXTS = 1000  # each is embedded before the first search


def load_phrases(encoder: ClipEncoder) -> Phrases:
    """The texts in ``phrases.json`` of the encoder's folder, or else the built-in ones.

    Raises `InputError` where ``phrases.json`` holds no list of unrelated texts, and where there is
    no such file and the encoder's vocabulary covers none of the built-in texts.
    """
    path = None if encoder.folder is None else encoder.folder / PHRASES
    if path is not None and path.exists():
        try:
            phrases = msgspec.convert(read_json(path, linked=True), _Listed)
        except (InputError, msgspec.ValidationError):
            phrases = _Listed(())
        if not 0 < len(phrases.unrelated) <= MAX_TEXTS >= len(phrases.states):
            raise InputError(
                f"{path} must contain a list of 1 to {MAX_TEXTS} texts under 'unrelated', and may "
                "contain another one under 'states'"
            )
        return Phrases(phrases.unrelated, phrases.states)
    usable = tuple(t for t in UNRELATED if not encoder.unknown(t) and encoder.fits(t))
    if not usable:
        raise InputError(
            f"the encoder {encoder.name} has a words.txt or a short context, but no {PHRASES}: "
            "write such a file, with a list of texts that it can read under 'unrelated'"
        )
    return Phrases(usable)
