"""Small real inputs for the tests: a moving picture, a video file of it, a tiny CLIP."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import open_clip
import torch
from numpy.typing import NDArray


def moving_picture(frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """A disc with stripes that crosses a shaded ground: uint8 (frames, height, width, 3)."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    pictures = []
    for i in range(frames):
        t = i / max(frames - 1, 1)
        red, green, blue = 0.3 + 0.5 * x, 0.7 - 0.5 * y, 0.4 + 0.2 * np.sin(9 * x + 3 * t)
        disc = (x - 0.2 - 0.5 * t) ** 2 + (y - 0.25) ** 2 < 0.03
        stripes = 0.5 + 0.5 * np.sign(np.sin(40 * (x - 0.5 * t) + 20 * y))
        picture = np.stack([red, green, blue], axis=-1)
        picture[disc] = np.stack([stripes, 0.2 * stripes, 1 - stripes], axis=-1)[disc]
        pictures.append(picture)
    return (255 * np.clip(pictures, 0, 1)).round().astype(np.uint8)


def write_test_video(
    path: Path,
    frames: int = 12,
    height: int = 48,
    width: int = 80,
    *,
    times: list[int] | None = None,
) -> NDArray[np.uint8]:
    """Write `moving_picture` as H.264 at 25 fps; ``times`` are other timestamps in 1/25 s."""
    pictures = moving_picture(frames, height, width)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv444p"
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i if times is None else times[i]
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return pictures


def write_tiny_clip(folder: Path, dim: int = 16, seed: int = 0, resize_mode: str = "squash") -> str:
    """An open_clip model folder with random weights; returns its ``local-dir:`` name."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "embed_dim": dim,
        "vision_cfg": {
            "image_size": 32,
            "layers": 1,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    content = {"model_cfg": config, "preprocess_cfg": {"resize_mode": resize_mode}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    torch.manual_seed(seed)
    torch.save(open_clip.CLIP(**config).state_dict(), folder / "open_clip_pytorch_model.bin")
    return f"local-dir:{folder}"
