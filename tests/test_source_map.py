"""From places in frames to pixels of the source: rotation, mirroring, aspect, crop and resize."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from nerv_clip import VideoSpec, load_video
from nerv_clip.video.source_map import SourceMap
from nerv_clip.video.video import Video

HEIGHT, WIDTH = 60, 100
MARK = (44, 70)  # row and column of the stored pixel in the middle of the mark


def stored() -> Image.Image:
    """A black picture with a white square of 7 pixels."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    row, column = MARK
    pixels[row - 3 : row + 4, column - 3 : column + 4] = 255
    return Image.fromarray(pixels)


def found(video: Video) -> tuple[float, float]:
    """The pixel of the source, x and y, where the middle of the mark in the first frame is."""
    light = video.read([0])[0].float().mean(0)
    light = light / light.sum()
    x = (np.arange(video.width) + 0.5) / video.width
    y = (np.arange(video.height) + 0.5) / video.height
    assert video.source_map is not None
    return video.source_map.pixel(float(light.sum(0) @ x), float(light.sum(1) @ y))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("narrow", [None, 50])
def test_turned_cropped_and_resized_images(
    orientation: int, narrow: int | None, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored().save(tmp_path / "0.png", exif=exif)
    crop = None if narrow is None else (narrow, narrow + 5)
    video = load_video(VideoSpec(tmp_path, crop=crop, resize=(41, 57)))
    row, column = MARK
    assert found(video) == pytest.approx((column + 0.5, row + 0.5), abs=0.1)


def test_a_file_with_wide_pixels(tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv444p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.asarray(stored()), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv444p")))
        container.mux(stream.encode())
    video = load_video(path)
    assert (video.height, video.width) == (HEIGHT, 2 * WIDTH)
    row, column = MARK
    assert found(video) == pytest.approx((column + 0.5, row + 0.5), abs=0.1)


def test_a_box_has_its_corners_in_order_whatever_the_turn() -> None:
    turned = SourceMap.of(HEIGHT, WIDTH, transposed=True, mirrored=True)
    left, top, right, bottom = turned.box(0.1, 0.2, 0.4, 0.9)
    assert (left, top) < (right, bottom)
    assert top < bottom
    # upright x runs upwards along the stored rows, upright y along the columns
    assert (left, right) == pytest.approx((0.2 * WIDTH, 0.9 * WIDTH))
    assert (top, bottom) == pytest.approx((0.6 * HEIGHT, 0.9 * HEIGHT))


def test_places_are_found_back() -> None:
    turned = SourceMap.of(HEIGHT, WIDTH, transposed=True, flipped=True).part(0.1, 0.2, 0.5, 0.6)
    assert turned.place(*turned.pixel(0.3, 0.8)) == pytest.approx((0.3, 0.8))
    box = (0.1, 0.2, 0.6, 0.7)
    assert turned.frame_box(*turned.box(*box)) == pytest.approx(box)


@pytest.mark.parametrize("x", [(0.0, 0.0, 5.0), (float("nan"), 0.0, 0.0), (1.0, 2.0, 0.0)])
def test_numbers_that_are_no_map_are_refused(x: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="singular"):
        SourceMap(x, (2.0, 4.0, 0.0))


def test_images_that_are_turned_differently_have_no_map(tmp_path: Path) -> None:
    square = stored().crop((0, 0, 60, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    square.save(tmp_path / "0.png")
    square.save(tmp_path / "1.png", exif=exif)
    assert load_video(tmp_path).source_map is None


def test_the_map_of_a_part_of_a_video_is_that_of_the_video(tmp_path: Path) -> None:
    for i in range(3):
        stored().save(tmp_path / f"{i}.png")
    video = load_video(tmp_path)
    assert video.part(1, 3).source_map == video.source_map == SourceMap.of(HEIGHT, WIDTH)
