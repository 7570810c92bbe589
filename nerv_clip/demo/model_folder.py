"""The small CLIP as a folder that open_clip loads by its ``local-dir:`` prefix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from nerv_clip.demo.captions import query, words
from nerv_clip.demo.facts import PAIRS
from nerv_clip.demo.pool import SIDE
from nerv_clip.demo.vocabulary import BPE, vocabulary_size, write_vocabulary
from nerv_clip.files import atomic_write, make_folder
from nerv_clip.teacher.loading import quiet
from nerv_clip.teacher.names import CONFIG, LOCAL, PHRASES

WEIGHTS = "open_clip_model.safetensors"
MEAN, STD = 0.5, 0.25  # normalisation of pictures, the same in each channel
CONTEXT = 24  # tokens in a text, with start and end
EMBEDDING = 512
# A search reads these as terms of their own at the end of a query.
STATES = (
    "at night", "by day", "in the daytime", "during the day", "during the night",
    "with the lights on", "with the lights off",
)  # fmt: skip


def write_folder(folder: Path) -> None:
    """Write the model's configuration, vocabulary, words and phrases, but no weights."""
    make_folder(folder)
    merges = write_vocabulary(folder, words())
    config: dict[str, Any] = {
        "model_cfg": {
            "embed_dim": EMBEDDING,
            "init_logit_scale": 2.3,
            "init_logit_bias": -3.0,  # about one caption in 20 is true of a picture
            "vision_cfg": {
                "layers": [1, 2, 2, 1],
                "width": 16,
                "head_width": 64,
                "image_size": SIDE,
            },
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": vocabulary_size(merges),
                "width": 128,
                "heads": 4,
                "layers": 2,
                "no_causal_mask": True,
                "tokenizer_kwargs": {"bpe_path": BPE},
            },
        },
        # squashed, because a centre crop would lose 44 % of a 16:9 frame
        "preprocess_cfg": {
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    phrases = {"unrelated": [query(pair) for pair in PAIRS], "states": STATES}
    for name, content in ((CONFIG, config), (PHRASES, phrases)):
        with atomic_write(folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")


def new_model(folder: Path) -> torch.nn.Module:
    """The model of a folder, created by open_clip with untrained weights."""
    import open_clip  # slow to import

    with quiet():  # open_clip warns that there are no weights
        model: torch.nn.Module = open_clip.create_model(f"{LOCAL}{folder}", load_weights=False)
    return model


def save_weights(model: torch.nn.Module, folder: Path) -> None:
    """Write the weights of a model into a folder, in half precision."""
    from safetensors.torch import save

    state = {
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for key, value in model.state_dict().items()
    }
    with atomic_write(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(state))
