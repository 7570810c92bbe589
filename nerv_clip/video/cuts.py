"""Find the cuts of a video from small copies of its pictures, while it is decoded.

Two pictures are of one shot if their edges have the same directions at the same places, or at
places that are all shifted alike. A cut is a sudden change between pictures of which this is not
true. Changes of the light, flashes and fast movements of the camera are no cuts. Fades through
black or white and dissolves are cuts, too. Measured in ``bench/results/shots.md``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROWS, COLUMNS = 27, 48  # of the small copies
SAMPLES = 4  # pixels of a picture per row and column of its small copy
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# changes are mean absolute differences of the small copies, contrasts are standard deviations of
# their luma; both on the scale of 8 bits
CHANGE = 8.0  # smaller ones are not examined, unless contrast is low
LOW_CHANGE, SHARE_OF_CONTRAST = 2.5, 0.4
SUDDEN, LONE = 1.6, 2.5  # a change relative to the neighbouring ones
ALIGNED, ALIGNED_IF_LONE = 0.38, 0.55  # the least alignment of two pictures of one shot
FLASH = 3  # maximum length in pictures
PLAIN, SHARE_OF_RECENT = 3.0, 0.1  # a picture with less contrast has no edges
OTHER_COLOUR = 20.0  # difference of two plain pictures of different shots
BLACK, WHITE = 48.0, 208.0

LAGS = (12, 24)  # pictures from before a dissolve to after it
SPREAD = 0.3  # maximum change in a dissolve relative to the whole
UNEXPLAINED = 0.2  # by the blend of the two ends, relative to the whole
ALIGNED_ENDS = 0.16  # the least alignment of the ends, if they are of one shot


def _weights(rows: int, columns: int) -> NDArray[np.float32]:
    """1 / overlap of two pictures at each shift of up to ``rows`` and ``columns``; 0 beyond."""
    y, x = (np.abs(np.fft.fftfreq(2 * n, 1 / (2 * n))) for n in (ROWS, COLUMNS))
    overlap = np.outer(1 - y / ROWS, 1 - x / COLUMNS)
    reached = np.outer(y <= rows, x <= columns)
    return np.where(reached, 1 / np.maximum(overlap, 0.25), 0).astype(np.float32)


ANY_SHIFT, SMALL_SHIFT = _weights(ROWS // 2, COLUMNS // 2), _weights(3, 4)


class _Small:
    """A small copy of a picture.

    ``change`` is its difference from the picture before it. It is ``plain`` if it has next to no
    edges, in comparison with ``recent`` ones, and ``blank`` if it is also black or white.
    """

    def __init__(self, pixels: NDArray[np.uint8], recent: Sequence[_Small]) -> None:
        self.rgb = _shrunk(pixels)
        self.luma = self.rgb @ LUMA
        self.contrast = float(self.luma.std())
        self.change = _difference(recent[-1], self) if recent else 0.0
        usual = max((near.contrast for near in recent), default=0.0)
        self.plain = self.contrast < max(PLAIN, SHARE_OF_RECENT * usual)
        self.blank = self.plain and _is_black_or_white(self.rgb)

    @cached_property
    def edges(self) -> tuple[NDArray[np.complexfloating], float]:
        """The spectrum of the gradients, strong ones reduced to their directions; the energy."""
        down, right = np.gradient(self.luma)
        gradients = (right + 1j * down).astype(np.complex64)
        gradients /= np.abs(gradients) + 4
        spectrum = np.fft.fft2(gradients, (2 * ROWS, 2 * COLUMNS))
        return spectrum, float(np.square(np.abs(gradients)).sum())


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = (
        max(side // (SAMPLES * small), 1)
        for side, small in zip(pixels.shape[:2], (ROWS, COLUMNS), strict=True)
    )
    sampled = np.ascontiguousarray(pixels[::rows])
    sampled = np.stack([sampled[:, ::columns, colour] for colour in range(3)], axis=-1)  # fast
    small = Image.fromarray(sampled).resize((COLUMNS, ROWS), Image.Resampling.BOX)
    return np.asarray(small).astype(np.float32)


def _difference(a: _Small, b: _Small) -> float:
    return float(np.abs(a.rgb - b.rgb).sum()) / a.rgb.size


def _is_black_or_white(rgb: NDArray[np.float32]) -> bool:
    level = rgb.mean((0, 1))
    return bool(level.max() < BLACK or level.min() > WHITE)


def alignment(a: _Small, b: _Small, shifts: NDArray[np.float32] = ANY_SHIFT) -> float:
    """Correlation of the edges of two pictures at the best shift: about 0 if unrelated, or 1."""
    product = np.fft.ifft2(a.edges[0] * np.conj(b.edges[0])).real
    return float((product * shifts).max()) / (float(np.sqrt(a.edges[1] * b.edges[1])) + 1)


def _same(a: _Small, b: _Small, least: float) -> bool:
    """Whether two pictures are of one shot."""
    if a.plain or b.plain:
        return _difference(a, b) < OTHER_COLOUR
    return alignment(a, b) >= least


class CutFinder:
    """Finds the cuts of a video, whose pictures are handed in one after the other.

    Keeps the small copies of the last 31 pictures and the cuts.

    >>> finder = CutFinder()
    >>> for colour in (30, 30, 30, 200, 200):
    ...     finder.add(np.full((90, 160, 3), (colour, 90, 120), np.uint8))
    >>> finder.finish()
    [3]
    """

    def __init__(self) -> None:
        self._recent: deque[_Small] = deque(maxlen=max(LAGS) + 2 * FLASH + 1)
        self._count = 0
        self._cuts: list[int] = []
        self._last = 0  # of the cuts
        self._dissolve = -max(LAGS)  # where the last one was found
        self._before_blank: _Small | None = None
        self._blank_from: int | None = None  # if sudden

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Take the next picture, uint8 (H, W, 3) with H and W as all the others have them."""
        self._recent.append(_Small(pixels, self._recent))
        self._count += 1
        if self._count > FLASH + 1:
            self._judge(self._count - 1 - FLASH)

    def finish(self) -> list[int]:
        """The cuts: the index of the first picture after each of them, increasing.

        To be called once, after the last picture.
        """
        for index in range(max(self._count - FLASH, 1), self._count):
            self._judge(index)
        return sorted(set(self._cuts))

    def _cut(self, index: int) -> None:
        self._cuts.append(index)
        self._last = max(self._last, index)

    def _at(self, index: int) -> _Small | None:
        place = len(self._recent) - self._count + index
        return self._recent[place] if 0 <= place < len(self._recent) else None

    def _around(self, index: int, reach: int) -> list[_Small]:
        """The pictures at most ``reach`` before or after one, without it."""
        near = (self._at(i) for i in range(index - reach, index + reach + 1) if i != index)
        return [picture for picture in near if picture is not None]

    def _judge(self, index: int) -> None:
        """Decide whether there is a cut before a picture."""
        before, after = self._at(index - 1), self._at(index)
        assert before is not None  # noqa: S101 - both are recent
        assert after is not None  # noqa: S101
        if after.blank and not before.blank:
            self._before_blank = before
            self._blank_from = index if self._rise(index, 1) >= SUDDEN else None
        elif before.blank and not after.blank:
            self._end_blank(index, after)
        elif not before.blank:
            if self._is_hard(index, before, after):
                self._cut(index)
            else:
                self._find_dissolve(index, after)

    def _rise(self, index: int, reach: int) -> float:
        """The change at a picture relative to the largest of those around it."""
        own = self._at(index)
        changes = (near.change for near in self._around(index, reach))
        return 0.0 if own is None else own.change / (max(changes, default=0.0) + 1)

    def _is_hard(self, index: int, before: _Small, after: _Small) -> bool:
        contrast = max(before.contrast, after.contrast)
        if after.change < max(LOW_CHANGE, min(CHANGE, SHARE_OF_CONTRAST * contrast)):
            return False
        lone = self._rise(index, 2) >= LONE
        if _same(before, after, ALIGNED_IF_LONE if lone else ALIGNED):
            return False
        # in fast movements, all changes are large, and all alignments may be low
        sudden = self._rise(index, 1) >= SUDDEN or self._is_between_steady(index)
        return sudden and not self._returns(index, before, after)

    def _is_between_steady(self, index: int) -> bool:
        """Whether the pictures before and after a change are well aligned with their neighbours."""
        first, before, after, last = (self._at(index + i) for i in (-2, -1, 0, 1))
        if first is None or before is None or after is None or last is None:
            return False
        return _same(first, before, ALIGNED_IF_LONE) and _same(after, last, ALIGNED_IF_LONE)

    def _returns(self, index: int, before: _Small, after: _Small) -> bool:
        """Whether the change is one side of a flash: the shot before it goes on after it."""
        later = (self._at(index + i) for i in range(1, FLASH + 1))
        earlier = (self._at(index - 1 - i) for i in range(1, FLASH + 1))
        return any(
            picture is not None and _same(side, picture, ALIGNED_IF_LONE)
            for side, others in ((before, later), (after, earlier))
            for picture in others
        )

    def _end_blank(self, index: int, after: _Small) -> None:
        """A cut if black or white pictures lie between different shots; none after a flash."""
        before, start = self._before_blank, self._blank_from
        found = index - self._dissolve < max(LAGS)
        if before is not None and not found and not _same(before, after, ALIGNED):
            sudden_end = self._rise(index, 1) >= SUDDEN
            self._cut(index if start is None or sudden_end else start)
        self._before_blank = None

    def _find_dissolve(self, index: int, after: _Small) -> None:
        if index - self._dissolve < max(LAGS):
            return
        for lag in LAGS:
            before = self._at(index - lag)
            if before is None or self._last > index - lag or before.plain:
                continue
            between = [self._at(i) for i in range(index - lag + 1, index)]
            half = _half_way(before, [small for small in between if small is not None], after)
            if half is not None:
                self._dissolve = index
                self._cut(index - lag + 1 + half)
                return


def _half_way(before: _Small, between: list[_Small], after: _Small) -> int | None:
    """The index among the pictures ``between`` that is half way in a dissolve; None if it is none.

    In a dissolve, all of them are blends of both ends, which are unrelated.
    """
    changes = [small.change for small in between]
    at_most = sum(changes) + after.change  # whatever moves, the ends differ by no more than this
    if at_most < OTHER_COLOUR or max(changes) > SPREAD * at_most:
        return None
    difference = _difference(before, after)
    if difference < OTHER_COLOUR or max(changes) > SPREAD * difference:
        return None
    whole = (after.rgb - before.rgb).ravel()
    energy = float(whole @ whole)
    shares = []
    middle = len(between) // 2
    for small in [between[middle], *between]:
        part = (small.rgb - before.rgb).ravel()
        shares.append(float(part @ whole) / energy)
        unexplained = float(part @ part) - shares[-1] ** 2 * energy
        if not 0.35 < shares[0] < 0.65 or unexplained > UNEXPLAINED * energy:
            return None
    if alignment(before, after, SMALL_SHIFT) >= ALIGNED_ENDS:
        return None
    return int(np.argmin(np.abs(np.array(shares[1:]) - 0.5)))
