"""Evaluation: decode a checkpoint, score it, and compare it with baselines that need no network."""
