"""Train the demo encoder, a small CLIP of the rendered kitchen: flags, and one call."""

from __future__ import annotations

import sys
from pathlib import Path

from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.demo import Lesson, Plan, teach


def main(argv: list[str]) -> None:
    """Render its pictures, train it, score it, and write its folder; leaves with 130 if stopped."""
    parser = Parser(prog="train_demo_clip.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("checkpoints/demo_clip"))
    parser.add_argument("--work", type=Path, default=Path("build/demo"), help="pictures, state")
    parser.add_argument("--singles", type=int, default=16_000, help="pictures of one thing")
    parser.add_argument("--scenes", type=int, default=56_000, help="pictures of up to six things")
    parser.add_argument("--tests", type=int, default=2_000, help="pictures to score it on")
    parser.add_argument("--steps", type=int, default=Plan().steps)
    parser.add_argument("--batch", type=int, default=Plan().batch)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    plan = Plan(steps=args.steps, batch=args.batch, seed=args.seed)
    lesson = Lesson(args.out, args.work, args.singles, args.scenes, args.tests, plan)
    if not teach(lesson, Terminal()):
        sys.exit(130)


if __name__ == "__main__":
    main_guard(main)
