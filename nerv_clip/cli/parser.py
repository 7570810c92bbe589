"""The training flags by name, with their help. Defaults are those of the config classes.

HNeRV's names where it has one.
"""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.quantisation import BITS
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.losses import PIXEL_LOSSES
from nerv_clip.training.optimisers import OPTIMISERS

# What a preset changes; a flag that is given wins over it. `default` is a good picture for its
# time, `fast` and `best` move the last layers to fewer or more cells; `hnerv` and `nerv` are the
# classic networks, trained by Adam and L2, as baselines.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"head_cells": 4_000},
    "best": {"head_cells": 250_000},
    "hnerv": {
        "embed": "",
        "enc_strds": [5, 2, 2, 2],
        "enc_dim": "64_16",
        "conv_type": ["convnext", "pshuffel"],
        "ks": "0_1_5",
        "loss": "L2",
        "lr": 1e-3,
        "lr_type": "cosine_0.1_1_0.1",
        "motion_weight": 0.0,
        "optim": "adam",
    },
    "nerv": {
        "embed": "pe_1.25_80",
        "head_strd": 1,
        "conv_type": ["convnext", "pshuffel"],
        "ks": "0_3_3",
        "reduce": 2.0,
        "loss": "L2",
        "lr": 1e-3,
        "lr_type": "cosine_0.1_1_0.1",
        "motion_weight": 0.0,
        "optim": "adam",
    },
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is an `InputError`: one line, as for all bad input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help lists the flags")


def build_parser() -> argparse.ArgumentParser:
    """All flags of ``train/train_nerv_clip.py``."""
    parser = Parser(
        prog="train_nerv_clip.py",
        description="Train one network that draws a video and knows what is in it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="default")
    _add_data(parser.add_argument_group("data"))
    _add_model(parser.add_argument_group("network"))
    _add_clip(parser.add_argument_group("CLIP"))
    _add_training(parser.add_argument_group("training"))
    _add_run(parser.add_argument_group("run"))
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data_path", required=True, help="a video file, or a folder of images")
    group.add_argument(
        "--crop_list", default="-1", help="centre crop, HEIGHT_WIDTH, before resizing"
    )
    group.add_argument("--resize_list", default="-1", help="size to train at, HEIGHT_WIDTH")
    group.add_argument("--vid_start", type=int, default=0, help="first frame of the source")
    group.add_argument("--vid_end", type=int, help="end of the source, exclusive")
    group.add_argument("--vid_step", type=int, default=1, help="keep every n-th frame")
    group.add_argument(
        "--data_split",
        default="1_1_1",
        help="a_b_c: of every c frames the first a train, those from b on are held out",
    )
    group.add_argument("--shuffle_data", action="store_true", help="deal the split at random")
    group.add_argument("--cache_gb", type=float, default=4.0, help="larger videos are streamed")


def _add_model(group: argparse._ArgumentGroup) -> None:
    d = ModelConfig()
    group.add_argument(
        "--modelsize", type=float, default=d.modelsize, help="millions of parameters"
    )
    group.add_argument(
        "--embed", default=d.embed, help="xyt_T_X_Y_BELOW, pe_1.25_80 or '' (with encoder)"
    )
    group.add_argument(
        "--t_grids",
        default=",".join(f"{share:g}_{channels}" for share, channels in d.grids),
        help="learned temporal grids: steps as a share of the frames, _channels, or none",
    )
    group.add_argument("--fc_hw", help="the stem's grid, ROWS_COLUMNS; solved by default")
    group.add_argument(
        "--stem_width", type=int, default=d.stem_width, help="the stem's hidden width"
    )
    group.add_argument(
        "--dec_strds", type=int, nargs="+", help="up-block strides; solved by default"
    )
    group.add_argument(
        "--head_strd",
        type=int,
        choices=[1, 2, 4],
        help="up-sampling in the RGB head; solved, 1 beside --dec_strds or --enc_strds",
    )
    group.add_argument(
        "--head_cells", type=int, default=d.head_cells, help="cells before the RGB head, at most"
    )
    group.add_argument("--enc_strds", type=int, nargs="*", default=[], help="use HNeRV's encoder")
    group.add_argument(
        "--enc_dim", default="64_16", help="encoder width _ latent channels or share"
    )
    group.add_argument(
        "--ks", default="_".join(map(str, d.ks)), help="kernels: encoder_first_largest"
    )
    group.add_argument(
        "--reduce", type=float, default=d.reduce, help="width divisor of an up-block"
    )
    group.add_argument("--lower_width", type=int, default=d.lower_width, help="least width")
    group.add_argument("--num_blks", default="1_1", help="blocks a stage: encoder_decoder")
    group.add_argument("--conv_type", nargs="+", default=list(d.conv_type), help="encoder, decoder")
    group.add_argument("--norm", default=d.norm, help="none, bn or in")
    group.add_argument("--act", default=d.act, help="gelu, sin, relu, leaky, swish, …")
    group.add_argument("--out_bias", default=d.out_bias, help="tanh, sigmoid or a number")


def _add_clip(group: argparse._ArgumentGroup) -> None:
    t = TrainConfig()
    group.add_argument("--predict_clip", action="store_true", help="add the CLIP head")
    group.add_argument("--clip_dim", type=int, help="the teacher's width, which it is by itself")
    group.add_argument("--clip_tap", type=int, help="head after this up-block, not on the stem")
    group.add_argument("--clip_input", action="store_true", help="predecessor: CLIP as an input")
    group.add_argument("--clip_loss_weight", type=float, default=t.clip_loss_weight, help="λ")
    group.add_argument(
        "--slerp_loss_weight",
        "--arc_weight",
        dest="slerp_loss_weight",
        type=float,
        default=t.slerp_loss_weight,
        help="weight of the CLIP loss between train frames, relative to the loss at train frames",
    )
    group.add_argument(
        "--pixel_loss_warmup_epochs",
        type=int,
        default=t.pixel_loss_warmup_epochs,
        help="epochs before the CLIP loss",
    )
    group.add_argument(
        "--clip_model", help="open_clip model, local-dir:FOLDER or demo (ViT-B-32 if needed)"
    )
    group.add_argument(
        "--clip_pretrained", help="open_clip tag or a weights file (laion2b_s34b_b79k if needed)"
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    d = TrainConfig()
    group.add_argument("-e", "--epochs", type=int, default=d.epochs)
    group.add_argument("-b", "--batchSize", dest="batch", type=int, default=d.batch)
    group.add_argument("--loss", choices=[*PIXEL_LOSSES], default=d.loss, metavar="LOSS")
    group.add_argument(
        "--motion_weight",
        type=float,
        default=d.motion_weight,
        help="of the loss that teaches motion; 0: frames between train frames are not moved ones",
    )
    group.add_argument("--lr", type=float, default=d.lr)
    group.add_argument(
        "--matrix_lr", type=float, default=d.matrix_lr, help="Muon's rate for kernels"
    )
    group.add_argument("--grid_lr", type=float, default=d.grid_lr, help="for temporal grids")
    group.add_argument("--lr_type", default=d.lr_type)
    group.add_argument("--optim", choices=OPTIMISERS, default=d.optim)
    group.add_argument("--ema", type=float, default=d.ema, help="decay of averaged weights, 0: off")
    group.add_argument("--amp", choices=["none", "bf16"], default=d.amp)
    group.add_argument("--compile", action="store_true", help="torch.compile the network")
    group.add_argument("--manualSeed", dest="seed", type=int, default=d.seed)
    group.add_argument(
        "--bits",
        type=int,
        default=d.bits,
        choices=BITS,
        help="of a weight in model_best.pth; every figure is measured on that file",
    )
    group.add_argument(
        "--eval_freq", type=int, default=d.eval_freq, help="epochs between evaluations"
    )
    group.add_argument(
        "--best_metric",
        default=d.best_metric,
        choices=[
            "psnr_train",
            "psnr_all",
            "psnr_val",
            "clip_similarity_train",
            "clip_similarity_val",
        ],
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--outf", help="run directory: NAME is output/NAME (the video's name if absent)"
    )
    group.add_argument("--suffix", default="", help="added to the run's name")
    group.add_argument("--overwrite", action="store_true", help="empty the run directory first")
    group.add_argument("--not_resume", action="store_true", help="start again from epoch 0")
    group.add_argument("--eval_only", action="store_true", help="evaluate model_best.pth and stop")
    group.add_argument("--weight", help="start from the weights of this checkpoint")
    group.add_argument("--save_freq", type=float, default=2.0, help="minutes between saves")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    group.add_argument("--debug", action="store_true", help="ten steps an epoch, into output/debug")
    group.add_argument("--dump_images", action="store_true", help="write decoded frames as PNG")
    group.add_argument("--dump_videos", action="store_true", help="write decoded frames as MP4")
