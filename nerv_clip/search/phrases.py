"""Reference texts: the background of relevancy, and the threshold of a clear match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from nerv_clip.errors import InputError
from nerv_clip.reading import read_json
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.names import PHRASES

CANONICAL = ("object", "things", "stuff", "texture")  # LERF's (Kerr et al., 2023)
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
    """``canonical`` texts give the background of relevancy, ``unrelated`` texts its threshold."""

    canonical: tuple[str, ...]
    unrelated: tuple[str, ...]


@dataclass(frozen=True)
class _Listed:
    """The content of ``phrases.json``."""

    canonical: tuple[str, ...]
    unrelated: tuple[str, ...]


MAX_TEXTS = 1000  # each is embedded before the first search
_LISTS = " and ".join(f"'{field}'" for field in Phrases._fields)


def load_phrases(encoder: ClipEncoder) -> Phrases:
    """The texts in ``phrases.json`` of the encoder's folder, or else the built-in ones.

    Raises `InputError` where ``phrases.json`` does not hold both lists, and where there is no such
    file and the encoder's vocabulary covers none of the built-in texts.
    """
    path = None if encoder.folder is None else encoder.folder / PHRASES
    if path is not None and path.exists():
        try:
            phrases = msgspec.convert(read_json(path, linked=True), _Listed)
        except (InputError, msgspec.ValidationError):
            phrases = _Listed((), ())
        if not 0 < len(phrases.canonical) <= MAX_TEXTS >= len(phrases.unrelated) > 0:
            raise InputError(
                f"{path} must contain a list of 1 to {MAX_TEXTS} texts under each of {_LISTS}"
            )
        return Phrases(phrases.canonical, phrases.unrelated)
    usable = [
        tuple(text for text in texts if not encoder.unknown(text) and encoder.fits(text))
        for texts in (CANONICAL, UNRELATED)
    ]
    if not all(usable):
        raise InputError(
            f"the encoder {encoder.name} has a words.txt or a short context, but no {PHRASES}: "
            f"write such a file, with lists of texts that it can read under {_LISTS}"
        )
    return Phrases(*usable)
