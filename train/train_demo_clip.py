"""Train the demo encoder, a small CLIP for rendered kitchens."""

from __future__ import annotations

import sys
from pathlib import Path

from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.demo import EncoderRecipe, TrainingPlan, train_encoder


def main(argv: list[str]) -> None:
    """Render pictures, train, score, and write the encoder; exits with 130 if interrupted."""
    parser = Parser(prog="train_demo_clip.py", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/demo_clip"), help="folder of the encoder"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/demo"), help="folder of pictures and saved state"
    )
    parser.add_argument("--singles", type=int, default=16_000, help="pictures of one object")
    parser.add_argument("--scenes", type=int, default=56_000, help="pictures of up to six objects")
    parser.add_argument("--tests", type=int, default=2_000, help="pictures for the scores")
    parser.add_argument("--steps", type=int, default=TrainingPlan().steps, help="training steps")
    parser.add_argument("--batch", type=int, default=TrainingPlan().batch, help="pictures per step")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and batches")
    args = parser.parse_args(argv)
    plan = TrainingPlan(steps=args.steps, batch=args.batch, seed=args.seed)
    recipe = EncoderRecipe(args.out, args.work, args.singles, args.scenes, args.tests, plan)
    if not train_encoder(recipe, Terminal()):
        sys.exit(130)


if __name__ == "__main__":
    main_guard(main, {})
