"""Train one network on a video, or evaluate it: flags, and one call."""

from __future__ import annotations

import sys

from nerv_clip.cli import main_guard, parse, run_command


def main(argv: list[str]) -> None:
    """Train or evaluate as the flags say; exits with 130 after an interruption."""
    if not run_command(parse(argv)):
        sys.exit(130)


if __name__ == "__main__":
    main_guard(main)
