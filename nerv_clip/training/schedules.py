"""Learning-rate schedules, named as in HNeRV."""

from __future__ import annotations

import math
from collections.abc import Callable

from nerv_clip.errors import InputError

Schedule = Callable[[float], float]


def learning_rate(lr_type: str) -> Schedule:
    """The schedule named ``lr_type``: a function from progress in [0, 1) to a factor on the rate.

    - ``cosine_WARM_POWER_MIN`` rises from MIN during the first share WARM of the training, by a
      power law with exponent POWER, then falls to 0 as a cosine.
    - ``hybrid_WARM_UP_DOWN_MIN_FINAL`` rises from MIN with exponent UP, then falls to FINAL with
      exponent DOWN.
    - ``step_AT_FACTOR`` multiplies by FACTOR from the share AT on.
    - ``const`` is 1.

    Raises `InputError` for any other name.
    """
    kind, *rest = lr_type.split("_")
    try:
        numbers = [float(x) for x in rest]
        if not all(0 <= x < math.inf for x in numbers):
            raise ValueError
        if kind == "const" and not numbers:
            return lambda _: 1.0
        if kind == "step" and len(numbers) == 2:
            at, factor = numbers
            return lambda progress: factor if progress >= at else 1.0
        if kind == "cosine" and len(numbers) == 3 and 0 <= numbers[0] < 1:
            return _cosine(*numbers)
        if kind == "hybrid" and len(numbers) == 5 and 0 <= numbers[0] < 1:
            return _hybrid(*numbers)
    except ValueError:
        pass
    raise InputError(
        f"`lr_type` {lr_type} is unknown: use cosine_0.1_1_0.1 (warm-up share, exponent, start), "
        "step_0.5_0.1 (share, factor), hybrid_0.1_1_1_0.1_0.1 or const"
    )


def _warm_up(progress: float, warm: float, power: float, minimum: float) -> float:
    return minimum + (1 - minimum) * float((progress / warm) ** power)


def _cosine(warm: float, power: float, minimum: float) -> Schedule:
    def factor(progress: float) -> float:
        if progress < warm:
            return _warm_up(progress, warm, power, minimum)
        return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))

    return factor


def _hybrid(warm: float, up: float, down: float, minimum: float, final: float) -> Schedule:
    def factor(progress: float) -> float:
        if progress < warm:
            return _warm_up(progress, warm, up, minimum)
        return 1 - (1 - final) * float(((progress - warm) / (1 - warm)) ** down)

    return factor
