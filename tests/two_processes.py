"""What each of two gloo processes runs in `test_distributed`: a training, its end state saved."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from nerv_clip import ModelConfig, TrainConfig, Trainer, VideoSpec, load_video, solve
from nerv_clip.training.builder import build_network
from nerv_clip.training.distributed import workers
from nerv_clip.video.split import split_frames


def main(video_file: str, out: str) -> None:
    """Two epochs with one frame a step in each process."""
    torch.set_num_threads(1)
    video = load_video(VideoSpec(Path(video_file)))
    with workers("cpu") as group:
        torch.manual_seed(1)
        true = torch.nn.functional.normalize(torch.randn(12, 16), dim=1)
        model = ModelConfig(modelsize=0.03, lower_width=4, predict_clip=True, clip_dim=16)
        arch = solve(model, 12, 9, video.height, video.width)
        config = TrainConfig(
            epochs=2,
            batch=2 // group.size,
            loss="L2",
            optim="adam",
            pixel_loss_warmup_epochs=0,
        )
        split = split_frames(12, "3_3_4")
        training = Trainer(build_network(arch, split), video, split, config, true, workers=group)
        losses = [result.losses["total"] for result in training.fit()]
        path = Path(out) / f"{group.size}_{group.rank}.pth"
        torch.save({"weights": training.model.state_dict(), "losses": losses}, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
