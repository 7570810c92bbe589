"""A grammar with synonyms that turns facts about the kitchen into captions."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

NOUNS: dict[str, tuple[str, ...]] = {
    "mug": ("mug", "mug", "cup"),
    "apple": ("apple", "apple", "fruit"),
    "kettle": ("kettle", "kettle", "teapot"),
    "bowl": ("bowl", "bowl", "dish"),
    "plate": ("plate", "plate", "saucer"),
    "bottle": ("bottle", "bottle", "flask"),
    "pan": ("pan", "pan", "skillet", "frying pan"),
    "knife": ("knife", "knife", "blade"),
}
SHADES: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "scarlet"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "navy"),
    "yellow": ("yellow", "yellow", "golden"),
    "orange": ("orange",),
    "purple": ("purple", "purple", "violet"),
    "white": ("white",),
    "black": ("black", "black", "dark"),
}
PLURALS = {"knife": "knives", "dish": "dishes", "fruit": "fruit"}
PHRASES: dict[str, tuple[str, ...]] = {
    "hand": ("a hand", "a hand over the counter", "a person's hand", "someone reaches in"),
    "pan on fire": (
        "a pan on the fire", "a pan over the flames", "a pan is on the lit stove",
        "someone is cooking in a pan", "a skillet on the fire",
    ),
    "tap on": (
        "the tap is running", "the tap is on", "the faucet is running", "running water",
        "water runs from the tap", "water flows into the sink", "a running tap", "the tap is open",
    ),
    "tap off": ("the tap is off", "the tap is closed", "the faucet is off", "no running water"),
    "fridge open": (
        "the fridge is open", "an open fridge", "an open refrigerator", "the fridge door is open",
        "the refrigerator stands open", "the fridge opens",
    ),
    "fridge closed": (
        "the fridge is closed", "a closed fridge", "the refrigerator is shut", "the fridge is shut",
    ),
    "fire on": (
        "the stove is on", "a fire on the stove", "flames on the stove", "the stove burns",
        "the burner is lit", "the cooker is on", "fire",
    ),
    "fire off": ("the stove is off", "no fire", "no flames on the stove", "the cooker is off"),
    "steam on": (
        "the kettle is steaming", "a steaming kettle", "steam rises from the kettle", "steam",
        "the kettle is boiling", "the water is boiling", "a boiling kettle", "the kettle steams",
    ),
    "steam off": ("no steam", "without steam"),
    "lights on": (
        "the lights are on", "the lamp is on", "the light is on", "with the lights on",
        "a bright lamp", "the lamp is lit", "lights on",
    ),
    "lights off": (
        "the lights are off", "the lamp is off", "the light is off", "with the lights off",
        "lights off", "the lamp is out",
    ),
    "day": (
        "by day", "it is day", "daytime", "in the daytime", "day outside the window",
        "daylight in the window", "during the day", "a sunny day",
    ),
    "night": (
        "at night", "it is night", "night time", "night outside the window",
        "the moon in the window", "during the night", "dark outside", "stars in the window",
    ),
}  # fmt: skip
HOLDING = (
    "a hand holds {}", "a hand is holding {}", "a hand carries {}", "someone carries {}",
    "a person picks up {}", "{} in a hand", "a hand lifts {}", "a hand takes {}", "a hand with {}",
)  # fmt: skip
PREFIXES = (
    "", "", "", "a photo of ", "a picture of ", "an image of ", "there is ", "a kitchen with ",
    "a video frame of ", "a view of ",
)  # fmt: skip
PLACES = ("", "", "", " on the counter", " on the worktop", " in the kitchen", " on the table")
JOINS = (" and ", " and ", ", ", " with ", " next to ", " beside ", ", while ")
COUNTS = ("two", "two", "2", "a pair of")

# Chosen before any training. In each row the first two texts are synonyms, and the third one
# contradicts them.
SYNONYMS: tuple[tuple[str, str, str], ...] = (
    ("a red mug", "a scarlet cup", "a blue mug"),
    ("a green apple", "an emerald fruit", "a red apple"),
    ("a blue kettle", "a navy teapot", "an orange kettle"),
    ("a yellow bowl", "a golden dish", "a purple bowl"),
    ("a purple bottle", "a violet flask", "a purple knife"),
    ("a black pan", "a dark skillet", "a white pan"),
    ("a white plate", "a white saucer", "a black plate"),
    ("a red knife", "a scarlet blade", "a green knife"),
    ("the tap is running", "water flows into the sink", "the tap is off"),
    ("the fridge is open", "an open refrigerator", "the fridge is closed"),
    ("the stove is on", "flames on the stove", "the stove is off"),
    ("the kettle is steaming", "the water is boiling", "no steam"),
    ("the lights are on", "the lamp is lit", "the lights are off"),
    ("by day", "daylight in the window", "at night"),
    ("at night", "the moon in the window", "it is day"),
    ("the lights are off", "the lamp is out", "the lamp is on"),
    ("a hand holds a mug", "someone carries a cup", "a hand holds a bottle"),
    ("a pan on the fire", "a pan over the flames", "the stove is off"),
)


def caption(chosen: Sequence[str], rng: np.random.Generator) -> str:
    """A random sentence with the facts ``chosen``, of `nerv_clip.demo.facts.FACTS`, in order."""
    phrases = [phrase(fact, rng) for fact in chosen]
    text = phrases[0]
    for further in phrases[1:]:
        text += _pick(JOINS, rng) + further
    return _pick(PREFIXES, rng) + text


def phrase(fact: str, rng: np.random.Generator) -> str:
    """A random phrase for one fact."""
    if fact in PHRASES:
        return _pick(PHRASES[fact], rng)
    if fact.startswith("hold "):
        return _pick(HOLDING, rng).format(_with_article(fact.removeprefix("hold "), rng))
    if fact.startswith("two "):
        colour, noun = _colour_and_noun(fact.removeprefix("two "), rng)
        return f"{_pick(COUNTS, rng)} {colour}{plural(noun)}" + _pick(PLACES, rng)
    if fact.endswith(" on fire"):
        noun_phrase = _with_article(fact.removesuffix(" on fire"), rng)
        return f"{noun_phrase} {_pick(('on the fire', 'over the flames', 'on the lit stove'), rng)}"
    if fact.endswith(" thing"):
        shade = _pick(SHADES[fact.removesuffix(" thing")], rng)
        return _pick(("something {}", "a {} thing", "a {} object"), rng).format(shade)
    if rng.random() < 0.15:
        colour, noun = _colour_and_noun(fact, rng)
        return colour + plural(noun) + _pick(PLACES, rng)
    return _with_article(fact, rng) + _pick(PLACES, rng)


def plural(noun: str) -> str:
    """The plural of a noun or of a colour and a noun: ``"frying pans"``, ``"red knives"``."""
    first, _, last = noun.rpartition(" ")
    return f"{first} {PLURALS.get(last, last + 's')}".strip()


def _colour_and_noun(name: str, rng: np.random.Generator) -> tuple[str, str]:
    """Random words for ``"red mug"`` or ``"mug"``; the colour ends with a space or is empty."""
    colour, _, kind = name.rpartition(" ")
    return (_pick(SHADES[colour], rng) + " " if colour else ""), _pick(NOUNS[kind], rng)


def _with_article(name: str, rng: np.random.Generator) -> str:
    colour, noun = _colour_and_noun(name, rng)
    words = colour + noun
    if rng.random() < 0.15:
        return f"the {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def words() -> list[str]:
    """Every word of the grammar, in alphabetical order."""
    texts = [*PREFIXES, *PLACES, *JOINS, *COUNTS, *HOLDING, "a an the thing object something"]
    texts += ["on the fire", "over the flames", "on the lit stove"]
    for options in (*NOUNS.values(), *SHADES.values(), *PHRASES.values()):
        texts += options
    texts += [plural(noun) for options in NOUNS.values() for noun in options]
    return sorted({word for text in texts for word in re.findall(r"[a-z0-9]+", text)})


def query(fact: str) -> str:
    """The standard query for a fact: ``"a red mug"``, ``"the tap is running"``."""
    if fact in PHRASES:
        return PHRASES[fact][0]
    if fact.startswith("hold "):
        return "a hand holds " + query(fact.removeprefix("hold "))
    return f"{'an' if fact[0] in 'aeiou' else 'a'} {fact}"
