"""Films of known cuts, made of single shots, for `shots.py`.

A shot is a stretch of a video without a cut. Its pictures are scaled to 320x180.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nerv_clip.video.reader import pictures

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 180, 320
LARGE = (270, 480)  # for crops
LIGHTS = "one kitchen, lights switched"
WIDE = (720, 1280)  # for a camera that moves over one picture


class Shot(NamedTuple):
    """The pictures of a video from ``first`` to before ``after``; ``kitchen`` if it is rendered."""

    path: Path
    first: int
    after: int
    kitchen: bool = False


@dataclass(frozen=True)
class Film:
    """Pictures (T, HEIGHT, WIDTH, 3), and for each cut the range of indices that are right.

    A hard cut is right if it is found at most one picture too early or too late; a gradual one
    where it is found within its transition.
    """

    kind: str
    pictures: Pixels
    cuts: list[range]


def resized(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """A picture of another (height, width), by area averages."""
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))


@cache
def read(shot: Shot, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Pixels:
    """The pictures of a shot: uint8 (T, *size, 3)."""
    found = []
    for index, picture in enumerate(pictures(shot.path)):
        if index >= shot.after:
            break
        if index >= shot.first:
            found.append(resized(picture.pixels, size))
    return np.array(found)


def read_large(shot: Shot) -> Pixels:
    """The first pictures of a shot, at most 80: uint8 (T, *LARGE, 3)."""
    return read(shot._replace(after=min(shot.after, shot.first + 80)), LARGE)


@cache
def middle(shot: Shot) -> Pixels:
    """The picture in the middle of a shot, in the size `WIDE`."""
    for index, picture in enumerate(pictures(shot.path)):
        if index == (shot.first + shot.after) // 2:
            return resized(picture.pixels, WIDE)
    raise ValueError(f"{shot} is empty")


def blend(a: Pixels, b: Pixels, share: float) -> Pixels:
    """``a`` and ``share`` of ``b``, which may be pictures or stretches of them."""
    return (a + share * (b.astype(np.float32) - a)).round().astype(np.uint8)


def hard(kind: str, parts: Sequence[Pixels]) -> Film:
    """Parts joined by hard cuts."""
    firsts = np.cumsum([len(part) for part in parts])[:-1]
    return Film(kind, np.concatenate(parts), [range(c - 1, c + 2) for c in firsts])


def dissolved(kind: str, parts: Sequence[Pixels], length: int) -> Film:
    """Parts that overlap by ``length`` pictures, in which each dissolves into the next."""
    film: list[Pixels] = [*parts[0]]
    cuts = []
    for part in parts[1:]:
        start = len(film) - length
        for i in range(length):
            film[start + i] = blend(film[start + i], part[i], (i + 1) / (length + 1))
        film += [*part[length:]]
        cuts.append(range(start, start + length + 1))
    return Film(kind, np.array(film), cuts)


def faded(kind: str, parts: Sequence[Pixels], length: int, held: int, level: int) -> Film:
    """Parts joined by a fade to a grey ``level``, ``held`` pictures of it, and a fade from it."""
    plain = np.full_like(parts[0][0], level)
    film: list[Pixels] = []
    cuts = []
    for number, part in enumerate(parts):
        own = [*part]
        for i in range(length):
            if number > 0:
                own[i] = blend(plain, own[i], (i + 1) / (length + 1))
            if number < len(parts) - 1:
                own[-1 - i] = blend(plain, own[-1 - i], (i + 1) / (length + 1))
        if number > 0:
            cuts.append(range(len(film) - length, len(film) + held + length + 1))
            film += [plain] * held
        film += own
    return Film(kind, np.array(film), cuts)


class Studio:
    """Makes films of shots, at random but the same for the same ``seed``."""

    def __init__(self, shots: Sequence[Shot], seed: int) -> None:
        self.real = [shot for shot in shots if not shot.kitchen]
        self.kitchens = [shot for shot in shots if shot.kitchen]
        self.chance = random.Random(seed)  # noqa: S311 - films, not secrets
        self.noise = np.random.default_rng(seed)

    def films(self, rounds: int) -> Iterator[Film]:
        """All kinds of films, most of them ``rounds`` times."""
        for _ in range(rounds):
            yield from self.cut_films()
            yield from self.gradual_films()
            yield from self.similar_films()
            yield from self.moving_films()
            yield from self.flash_films()
        yield from self.whole_shots()

    def piece(self, shot: Shot, length: int) -> Pixels:
        """A stretch of a shot."""
        whole = read(shot)
        start = self.chance.randrange(max(len(whole) - length, 0) + 1)
        return whole[start : start + length].copy()

    def pieces(self, count: int, shortest: int, longest: int) -> list[Pixels]:
        """Stretches of shots, of which no two neighbours show the same or two kitchens."""
        chosen: list[Shot] = []
        for _ in range(count):
            last = chosen[-1] if chosen else None
            both = last is not None and last.kitchen
            others = [s for s in self.real + self.kitchens if s != last]
            chosen.append(self.chance.choice([s for s in others if not (both and s.kitchen)]))
        return [self.piece(shot, self.chance.randint(shortest, longest)) for shot in chosen]

    def dark(self, film: Pixels) -> Pixels:
        """A film at an eighth of its light, with the noise of a camera."""
        noisy = film * 0.12 + self.noise.normal(0, 4, film.shape)
        return noisy.clip(0, 255).round().astype(np.uint8)

    def cut_films(self) -> Iterator[Film]:
        """Hard cuts."""
        yield hard("hard cuts", self.pieces(10, 15, 60))
        yield hard("hard cuts, shots of 2 to 8 pictures", self.pieces(24, 2, 8))
        film = hard("hard cuts, dark and noisy", self.pieces(8, 15, 60))
        yield Film(film.kind, self.dark(film.pictures), film.cuts)
        pans = [self.pan(shot, self.chance.choice([0.05, 0.1, 0.2])) for shot in self.sample(5)]
        starts = [self.chance.randrange(len(pan) - 20) for pan in pans]
        parts = [pan[start : start + 20] for pan, start in zip(pans, starts, strict=True)]
        yield hard("hard cuts in a moving camera", parts)

    def gradual_films(self) -> Iterator[Film]:
        """Dissolves and fades."""
        for length in (6, 12, 24):
            long = [part for part in self.pieces(12, 60, 80) if len(part) >= 60]
            yield dissolved(f"dissolves of {length} pictures", long, length)
        long = [part for part in self.pieces(12, 50, 70) if len(part) >= 50]
        length, held = self.chance.randint(6, 14), self.chance.choice([0, 1, 6, 20])
        yield faded("fades through black", long, length, held, 0)
        yield faded("fades through white", long[:6], length, held, 255)
        (shot,) = self.sample(1)
        once = faded("", [self.piece(shot, 60), self.piece(shot, 60)], 16, 6, 0).pictures
        yield Film("one shot, fade in and out", once[len(once) // 2 :], [])
        yield Film("one shot, fade in and out", once[: len(once) // 2], [])

    def similar_films(self) -> Iterator[Film]:
        """Hard cuts between pictures that are much alike."""
        crops = []
        for shot in self.sample(6):
            large = read_large(shot)[:30]
            share = self.chance.choice([0.5, 0.65])
            height, width = (round(side * share) for side in LARGE)
            top, left = (LARGE[0] - height) // 2, (LARGE[1] - width) // 2
            near = large[15:, top : top + height, left : left + width]
            for part in (large[:15], near):
                crops.append(np.array([resized(picture, (HEIGHT, WIDTH)) for picture in part]))
        yield hard("hard cuts to a crop of the same shot", crops)
        if len(self.kitchens) > 1:
            order = self.chance.sample(self.kitchens, len(self.kitchens))
            parts = [self.piece(order[i % len(order)], 30) for i in range(8)]
            yield hard("hard cuts, two kitchens", parts)
            whole, starts = read(order[0]), list(range(0, 300, 50))
            while any(b == a + 50 for a, b in pairwise(starts)):
                self.chance.shuffle(starts)
            parts = [whole[start : start + 30] for start in starts]
            yield hard("hard cuts within one kitchen", parts)

    def sample(self, count: int) -> list[Shot]:
        """Different real shots, if there are enough."""
        return self.chance.sample(self.real, min(count, len(self.real)))

    def pan(self, shot: Shot, step: float) -> Pixels:
        """A camera that moves to and fro over a picture, ``step`` of its width at a time."""
        picture, x, film = middle(shot), 0, []
        top, last = self.chance.randrange(WIDE[0] - HEIGHT), WIDE[1] - WIDTH
        for target in (last, 0, last, 0):
            film += [x] * self.chance.randint(3, 14)
            while x != target:
                x = min(max(x + round(step * WIDTH) * (1 if target > x else -1), 0), last)
                film.append(x)
        return np.array([picture[top : top + HEIGHT, x : x + WIDTH] for x in film])

    def shake(self, shot: Shot, reach: float) -> Pixels:
        """A camera that jumps at random by up to ``reach`` of its width, at times."""
        film = []
        for i, picture in enumerate(read_large(shot)):
            y, x = (i // 16 % 2 * reach * self.chance.uniform(-1, 1) for _ in range(2))
            top, left = int(45 + min(abs(y) * HEIGHT, 45) * np.sign(y)), int(80 + x * WIDTH)
            left = min(max(left, 0), LARGE[1] - WIDTH)
            film.append(picture[top : top + HEIGHT, left : left + WIDTH])
        return np.array(film)

    def zoom(self, shot: Shot, rate: float) -> Pixels:
        """A camera that zooms in and out of a picture by ``rate`` a picture."""
        picture, scale, film = Image.fromarray(middle(shot)), 1.0, []
        for i in range(90):
            if i // 15 % 2:
                scale = min(max(scale * (1 + rate) ** (1 if i // 30 % 2 == 0 else -1), 1), 5)
            y, x = (side / 2 for side in WIDE)
            box = (x - x / scale, y - y / scale, x + x / scale, y + y / scale)
            small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)
            film.append(np.asarray(small))
        return np.array(film)

    def moving_films(self) -> Iterator[Film]:
        """Fast cameras."""
        for shot in self.sample(3):
            steps = self.chance.choice([0.1, 0.2, 0.3])
            yield Film("one shot, pans of 10 to 30 % a picture", self.pan(shot, steps), [])
            reach = self.chance.choice([0.08, 0.15, 0.25])
            yield Film("one shot, shakes of up to 25 %", self.shake(shot, reach), [])
            rate = self.chance.choice([0.03, 0.06, 0.12])
            yield Film("one shot, zooms of 3 to 12 % a picture", self.zoom(shot, rate), [])

    def flash_films(self) -> Iterator[Film]:
        """One to three pictures that are different."""

        def lit(picture: Pixels) -> Pixels:
            return blend(picture, np.full_like(picture, 255), self.chance.uniform(0.4, 0.95))

        blank = self.chance.choice([0, 255])
        other = self.piece(self.sample(1)[0], 1)[0]
        changes: dict[str, Callable[[Pixels], Pixels]] = {
            "one shot, flashes": lit,
            "one shot, black or white pictures": lambda picture: np.full_like(picture, blank),
            "one shot, pictures of another shot": lambda picture: other,
        }
        for kind, change in changes.items():
            film = self.piece(self.sample(1)[0], 90)
            at = 10
            while at < len(film) - 8:
                length = self.chance.randint(1, 3)
                film[at : at + length] = [change(picture) for picture in film[at : at + length]]
                at += length + self.chance.randint(6, 20)
            yield Film(kind, film, [])

    def whole_shots(self) -> Iterator[Film]:
        """Shots as they are, at half and at three times the speed, and in the dark."""
        for shot in self.real:
            whole = read(shot)
            yield Film("one shot", whole, [])
            yield Film("one shot, each picture twice", whole[:120].repeat(2, axis=0), [])
            yield Film("one shot, every third picture", whole[::3], [])
            yield Film("one shot, dark and noisy", self.dark(whole[:80]), [])
        for shot in self.kitchens:
            yield Film(LIGHTS, read(shot), [])
