"""The teacher: open_clip's own preprocessing on tensors, its cache, what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

from nerv_clip.errors import InputError
from nerv_clip.teacher.embeddings import embed_video
from nerv_clip.teacher.loading import check_dim, load_clip_encoder
from nerv_clip.teacher.preprocessing import preprocess
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import load_video
from tests.samples import moving_picture, write_tiny_clip


@pytest.mark.parametrize("size", [(48, 80), (90, 41), (224, 224)])
@pytest.mark.parametrize("mode", ["squash", "shortest", "longest"])
def test_preprocessing_matches_open_clip_with_pil(
    tmp_path: Path, mode: str, size: tuple[int, int]
) -> None:
    """Within one of 255 levels but for 5 % of pixels at hard edges; a fifth of one on average."""
    name = write_tiny_clip(tmp_path / mode, resize_mode=mode)
    _, _, transform = open_clip.create_model_and_transforms(name)
    encoder = load_clip_encoder(name)
    pictures = moving_picture(3, *size)
    theirs = torch.stack([transform(Image.fromarray(p)) for p in pictures])
    ours = preprocess(torch.from_numpy(pictures).permute(0, 3, 1, 2), encoder.steps)
    assert ours.shape == theirs.shape == (3, 3, 32, 32)
    levels = (ours - theirs).abs() * 255 * torch.tensor(transform.transforms[-1].std)[:, None, None]
    assert (levels > 1.01).float().mean() < 0.05
    assert levels.mean() < 0.2


def test_embeddings_match_open_clip(teacher: str) -> None:
    model, _, transform = open_clip.create_model_and_transforms(teacher)
    encoder = load_clip_encoder(teacher)
    pictures = moving_picture(2, 32, 32)  # at the model's size no pixel is resized
    with torch.no_grad():
        theirs = model.encode_image(torch.stack([transform(Image.fromarray(p)) for p in pictures]))
        texts = model.encode_text(open_clip.get_tokenizer(teacher)(["a disc", "a horse"]))
    ours = encoder.images(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    normal = torch.nn.functional.normalize
    torch.testing.assert_close(ours, normal(theirs, dim=-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        encoder.texts(["a disc", "a horse"]), normal(texts, dim=-1), atol=1e-5, rtol=0
    )
    assert encoder.dim == 16


def test_text_longer_than_the_context_is_refused(teacher: str) -> None:
    encoder = load_clip_encoder(teacher)  # a context of 16 tokens, two of them start and end
    assert encoder.texts(["disc " * 14]).shape == (1, 16)
    with pytest.raises(InputError, match=r"at most 16 tokens; beyond them lies 'a horse and'"):
        encoder.texts(["a horse", "disc " * 14 + "a horse and"])
    for blank in ("", " ", "\u200b", "\u3164", "\ufe0f"):
        with pytest.raises(InputError, match="the text is empty"):
            encoder.texts([blank])


def test_cache_distinguishes_video_crop_and_model(
    video_file: Path, tmp_path: Path, teacher: str
) -> None:
    first, second = (
        load_clip_encoder(name) for name in (teacher, write_tiny_clip(tmp_path, seed=1))
    )
    assert first.id != second.id
    video = load_video(VideoSpec(video_file))
    cropped = load_video(VideoSpec(video_file, crop=(40, 40)))
    folder = tmp_path / "cache"
    made = [embed_video(e, c, cache_dir=folder) for e in (first, second) for c in (video, cropped)]
    assert len(list(folder.iterdir())) == 4
    for values in made:
        torch.testing.assert_close(values.norm(dim=1), torch.ones(12))
    assert len({v.sum().item() for v in made}) == 4
    first.images = None  # type: ignore[assignment,method-assign]  # a second computation would raise
    torch.testing.assert_close(embed_video(first, video, cache_dir=folder), made[0])
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])  # truncated: has to be computed again
    torch.testing.assert_close(embed_video(second, video, cache_dir=folder), made[2])


@pytest.fixture
def known_model(tmp_path: Path) -> str:
    """A model name that open_clip knows, with a small network behind it."""
    write_tiny_clip(tmp_path / "known")
    config = json.loads((tmp_path / "known" / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-clip.json")
    return "tiny-clip"


def test_random_weights_are_named_and_repeatable(known_model: str) -> None:
    a, b, c = (load_clip_encoder(known_model, f"random:{seed}") for seed in (3, 3, 4))
    assert a.id == b.id != c.id
    assert "no semantics" in a.name
    assert a.dim == 16


def test_local_weights_file_is_loaded(tmp_path: Path, known_model: str) -> None:
    model = open_clip.create_model(known_model, pretrained=None)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    encoder = load_clip_encoder(known_model, str(tmp_path / "w.pt"))
    for name, value in encoder.model.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    (tmp_path / "bad.pt").write_bytes(b"nothing")
    refused("cannot be loaded", known_model, str(tmp_path / "bad.pt"))
    refused("cannot be loaded", known_model, str(tmp_path / "absent.pt"))


def test_missing_model_or_weights_is_one_line(tmp_path: Path) -> None:
    refused("unknown to open_clip", "ViT-Z-1", "openai")
    refused("needs `clip_pretrained`", "ViT-B-32")
    refused("random:SEED", "ViT-B-32", "random:x")
    refused("cannot be loaded", f"local-dir:{tmp_path / 'nowhere'}")
    message = refused("cannot be downloaded", "ViT-B-32", "laion2b_s34b_b79k")
    assert "local weights file as `clip_pretrained`" in message
    assert "`clip_model` demo" in message


def test_clip_dim_must_match_the_teacher(teacher: str) -> None:
    encoder = load_clip_encoder(teacher)
    check_dim(encoder, 16)
    with pytest.raises(InputError, match=r"embeddings of width 16.* 512"):
        check_dim(encoder, 512)


def refused(match: str, *name: str) -> str:
    with pytest.raises(InputError, match=re.escape(match)) as caught:
        load_clip_encoder(*name)
    assert "\n" not in str(caught.value)
    return str(caught.value)
