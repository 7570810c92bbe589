"""Train one network that draws a video and knows what is in it: flags, and one call."""

from __future__ import annotations

import sys

from nerv_clip import main_guard, parse, run_session


def main(argv: list[str]) -> None:
    """Train or evaluate as the flags say; leaves with 130 after an interruption."""
    if not run_session(parse(argv)):
        sys.exit(130)


if __name__ == "__main__":
    main_guard(main)
