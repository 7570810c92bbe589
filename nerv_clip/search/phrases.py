"""Texts that a query is compared with, to say whether a video shows it at all."""

from __future__ import annotations

import json
from typing import NamedTuple

from nerv_clip.errors import InputError
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
    """``canonical`` texts are the background of relevancy, ``unrelated`` ones that of a match."""

    canonical: tuple[str, ...]
    unrelated: tuple[str, ...]


_LISTS = " and ".join(f"'{field}'" for field in Phrases._fields)


def phrases_of(encoder: ClipEncoder) -> Phrases:
    """Those of the encoder's folder, where it has a ``phrases.json``, or the built-in ones.

    Raises `InputError` where the encoder knows only some words and none of these texts, or where
    its file has no such lists.
    """
    path = None if encoder.folder is None else encoder.folder / PHRASES
    if path is not None and path.exists():
        try:
            content = json.loads(path.read_text())
            own = Phrases(*(tuple(map(str, content[field])) for field in Phrases._fields))
        except (OSError, ValueError, TypeError, KeyError):
            own = Phrases((), ())
        if not all(own):
            raise InputError(f"{path} has to hold a list of texts under each of {_LISTS}")
        return own
    known = [
        tuple(text for text in texts if not encoder.unknown(text))
        for texts in (CANONICAL, UNRELATED)
    ]
    if not all(known):
        raise InputError(
            f"the encoder {encoder.name} has a words.txt but no {PHRASES}: write texts that it "
            f"knows there, under {_LISTS}"
        )
    return Phrases(*known)
