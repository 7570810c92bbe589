"""The query syntax: terms with weights, some negated; and the embedding of a term."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.teacher.encoder import ClipEncoder

MINUS = r"\-−–—"  # as keyboards, word processors and phones write it
TEMPLATES = ("{}", "a photo of {}", "a picture of {}", "a video frame of {}")


class Term(NamedTuple):
    """A text with its weight; ``negated`` where the query is for its absence."""

    text: str
    weight: float
    negated: bool


def parse_query(query: str) -> tuple[Term, ...]:
    """Parse a query such as ``"a red mug +a pan -green apple^0.5"`` into terms.

    ``+`` or ``-`` before a word begins a term, ``-`` a negated one; spaces after the sign do not
    matter, and a minus sign or a dash counts as ``-``. ``^`` and a number after a term is its
    weight, 1 by default. Raises `InputError` for an empty query, for a weight that is not a
    positive number, and where all terms are negated.

    >>> parse_query("a red mug -apple^0.5")[1]
    Term(text='apple', weight=0.5, negated=True)
    """
    parts = re.split(rf"(?:^|(?<=\s))([+{MINUS}])\s*(?=\S)", query)
    signed = [("+", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    terms = [_term(text.strip(), sign != "+") for sign, text in signed if text.strip()]
    if not any(not term.negated for term in terms):
        raise InputError(
            f"the query {query!r} has no text to search for: give at least one term without -, "
            "such as 'mug -apple'"
        )
    return tuple(terms)


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
