"""Build the networks of a video, ready to be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from nerv_clip.models.config import Architecture
from nerv_clip.models.heads import DenseHead
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.training.data import frame_times
from nerv_clip.video.split import Split, train_indices


def build_video_network(
    arch: VideoArchitecture,
    split: Sequence[Split],
    *,
    true_embeddings: Tensor | None = None,
    weights: Sequence[Mapping[str, Tensor]] | None = None,
    bases: Sequence[Tensor] | None = None,
) -> VideoNetwork:
    """The networks of all segments of a video, each as `build_network` makes it.

    ``split`` and ``true_embeddings`` are those of the video; ``weights`` has those of each network,
    ``bases`` the bases of their dense heads.
    """
    if weights is not None and len(weights) != len(arch.segments):
        raise ValueError("the weights do not fit: they are of another number of segments")
    networks = []
    for number, segment in enumerate(arch.segments):
        network = build_network(
            segment.network,
            split[segment.rows],
            true_embeddings=None if true_embeddings is None else true_embeddings[segment.rows],
            weights=None if weights is None else weights[number],
            basis=None if bases is None else bases[number],
        )
        networks.append(network)
    return VideoNetwork(arch, networks)


def build_network(
    arch: Architecture,
    split: Sequence[Split],
    *,
    true_embeddings: Tensor | None = None,
    weights: Mapping[str, Tensor] | None = None,
    basis: Tensor | None = None,
) -> NeRVClip:
    """A network on the CPU with its train times and, with ``clip_input``, its table set.

    ``split`` names the split of every frame. ``true_embeddings`` (T, dim) are needed with
    ``clip_input``. Weights are random (by torch's global generator), or those of another
    network's state dict with the same shapes, which may lack the encoder. The table of an encoder
    run is filled by `nerv_clip.training.trainer.Trainer.averaged`, because latents change while
    the encoder is trained. ``basis`` (rank, dim) is that of the dense head; without one, it is a
    placeholder.

    Raises ValueError if ``weights`` do not fit, or without the embeddings that are needed.
    """
    model = NeRVClip(arch)
    if weights is not None:
        _load(model, weights)
    train = train_indices(split)
    times = frame_times(len(split))[train]
    if "motion" in model.taps:
        model.train_times.copy_(times)
    if arch.clip_input:
        if true_embeddings is None or model.table is None:
            raise ValueError("a network with `clip_input` needs `true_embeddings`")
        model.table.fill(times, true_embeddings[train][:, :, None, None])
    head = model.head("dense")
    if isinstance(head, DenseHead) and basis is not None:
        head.basis.data.copy_(basis)
    return model


def check_train_times(model: NeRVClip, times: Tensor) -> None:
    """Raise ValueError unless the network has these train times (L,)."""
    stored = []
    if "motion" in model.taps:
        stored.append(model.train_times)
    if model.arch.clip_input and model.table is not None:
        stored.append(model.table.times)
    if any(not found.equal(times) for found in stored):
        raise ValueError("the network has other train times than the split: use `build_network`")


def _load(model: NeRVClip, weights: Mapping[str, Tensor]) -> None:
    try:
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except RuntimeError as error:  # other shapes
        raise ValueError(f"the weights do not fit: {error}") from None
    missing = [name for name in missing if not name.startswith("encoder.")]
    if missing or unexpected:
        raise ValueError(f"the weights do not fit: {[*missing, *unexpected]}")
