"""The query syntax: terms with weights, some negated; and the embedding of a term."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.teacher.encoder import ClipEncoder

MINUS = r"\-−–—"  # as keyboards, word processors and phones write it
TEMPLATES = ("{}", "a photo of {}", "a picture of {}", "a video frame of {}")
# "and" joins two terms only before one of these words: "black and white" is one term
STARTS = (
    "a|an|the|one|two|three|some|someone|somebody|something|this|that|these|those|his|her|their"
    "|its|my|your|our|it|at|by|during"
)
JOINED = rf"(?<=\S)(?:\s*,)?\s+(?:and|while)\s+(?=(?:{STARTS})\b)|(?<=\S)\s*,\s+(?=(?:{STARTS})\b)"
WITHOUT = (
    r"(?<=\S)\s*,?\s+(?:(?:and|but)\s+)?without\s+(?=\S)"
    r"|(?<=\S)(?:\s*,|\s*,?\s+(?:and|but|with))\s+no\s+(?=\S)"
)


class Term(NamedTuple):
    """A text with its weight; ``negated`` where the query is for its absence."""

    text: str
    weight: float
    negated: bool


def parse_query(query: str, states: Sequence[str] = ()) -> tuple[Term, ...]:
    """Parse a query such as ``"a red mug and a pan, without a kettle"`` into terms.

    A term begins at a ``+``, and a negated one at a ``-``, before a word; spaces after the sign do
    not matter, and a minus sign or a dash counts as ``-``. "and", "while" and a comma count as
    ``+`` before one of the words `STARTS`; "without", and "no" after a comma, "and", "but" or
    "with", count as ``-``. One of ``states`` at the end of a term is a term of its own. ``^`` and a
    number after a term is its weight, 1 by default. Raises `InputError` for an empty query, for a
    weight that is not a positive number, and where all terms are negated.

    >>> [term.text for term in parse_query("a red mug and a pan without an apple")]
    ['a red mug', 'a pan', 'an apple']
    >>> parse_query("a red mug -apple^0.5")[1]
    Term(text='apple', weight=0.5, negated=True)
    """
    signed = _with_signs(query, states)
    parts = re.split(rf"(?:^|(?<=\s))([+{MINUS}])\s*(?=\S)", signed)
    pairs = [("+", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    terms = [_term(text.strip(), sign != "+") for sign, text in pairs if text.strip()]
    if not any(not term.negated for term in terms):
        raise InputError(
            f"the query {query!r} has no text to search for: give at least one term without -, "
            "such as 'mug -apple'"
        )
    return tuple(terms)


def reading(terms: Sequence[Term]) -> str:
    """The terms as a text: ``"a red mug" and not "an apple" (weight 0.5)``."""
    parts = []
    for term in terms:
        weight = "" if term.weight == 1 else f" (weight {term.weight:g})"
        parts.append(f'{"not " * term.negated}"{term.text}"{weight}')
    return " and ".join(parts)


def _with_signs(query: str, states: Sequence[str]) -> str:
    """The query with signs in place of the words that mean them."""
    signed = re.sub(WITHOUT, " - ", query, flags=re.IGNORECASE)
    signed = re.sub(JOINED, " + ", signed, flags=re.IGNORECASE)
    if states:
        names = "|".join(map(re.escape, states))
        ending = rf"(?<=\w)\s*,?\s+(?=(?:{names})\s*(?:$|[+{MINUS}^]))"
        signed = re.sub(ending, " + ", signed, flags=re.IGNORECASE)
    return signed


def _term(text: str, negated: bool) -> Term:
    words, _, weight = text.partition("^")
    if not words.strip() or ("^" in text and not re.fullmatch(r"\d*\.?\d+", weight)):
        raise InputError(f"{text!r} is not a term: give a text, and after ^ a weight such as 0.5")
    if "^" in text and float(weight) == 0:
        raise InputError(f"{text!r} has a weight of 0: give a positive weight")
    return Term(words.strip(), float(weight) if weight else 1.0, negated)


def text_vector(encoder: ClipEncoder, text: str) -> NDArray[np.float32]:
    """Unit embedding (dim,) of a text: the mean over the `TEMPLATES` that the encoder can read.

    A template is left out if it has words that the encoder was not trained with, or if the text
    would become too long with it. Prompt ensembling as in CLIP (Radford et al., 2021).
    """
    plain, *others = [t for t in TEMPLATES if not encoder.unknown(t.format(""))]
    filled = [template.format(text) for template in others]
    vectors = encoder.texts([plain.format(text), *filter(encoder.fits, filled)])
    return np.asarray(torch.nn.functional.normalize(vectors.mean(0), dim=0).cpu().numpy())
