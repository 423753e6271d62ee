"""Users' masks, however a tool says "selected": one meaning is understood, several are refused, none is read as a weak selection."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.imaging.arrays import UInt8Array
from respray.imaging.decode import decode_mask
from tests.imaging.test_senders_files import picture

SELECTED = np.zeros((128, 192), bool)
SELECTED[20:100, 40:120] = True


def saved(mask: npt.NDArray[Any] | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).save(out, kind, **options)
    return out.getvalue()


def painted(*colour: int) -> UInt8Array:
    """A brush of one colour on black."""
    brush: UInt8Array = (SELECTED[..., None] * np.array(colour)).astype(np.uint8)
    return brush


def palette(*colour: int) -> Image.Image:
    image = Image.fromarray(SELECTED.astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, *colour])
    return image


ONE_MEANING = {
    "red": saved(painted(255, 0, 0)),
    "blue": saved(painted(0, 0, 255)),
    "purple": saved(painted(128, 0, 128)),
    "red, JPEG": saved(painted(255, 0, 0), "JPEG", quality=75),
    "pink on transparent": saved(np.dstack([painted(255, 60, 160), SELECTED.astype(np.uint8) * 255])),
    "green all over, in its alpha": saved(np.dstack([np.full((128, 192, 3), (0, 200, 0), np.uint8), SELECTED.astype(np.uint8) * 255])),
    "a class of PASCAL VOC's palette": saved(palette(128, 0, 0)),
    "label 1": saved(SELECTED.astype(np.uint8)),
    "label 1 in the red channel": saved(painted(1, 0, 0)),
    "label 7 in the blue channel": saved(painted(0, 0, 7)),
    "label 3": saved(SELECTED.astype(np.uint8) * 3),
    "label 3 of 16 bits": saved(Image.fromarray(SELECTED.astype(np.uint16) * 3)),
    **{f"label {label}, JPEG": saved(SELECTED.astype(np.uint8) * label, "JPEG", quality=75) for label in (1, 2, 3, 8)},
    "white, tinted by JPEG": saved(painted(255, 250, 252), "JPEG", quality=30),
}


@pytest.mark.parametrize("name", ONE_MEANING)
def test_one_meaning_is_understood(name: str) -> None:
    mask = decode_mask(ONE_MEANING[name])
    assert ((mask > 127) == SELECTED).mean() > 0.98
    assert np.percentile(mask[SELECTED], 10) > 230


def test_soft_edges_of_a_brush_stay_soft_and_weak_masks_weak() -> None:
    share = np.linspace(0, 1, 96)
    brush = share[None, :, None] * np.ones((64, 1, 1)) * (200, 0, 0)
    steps = np.diff(decode_mask(saved(brush.round().astype(np.uint8)))[0].astype(int))
    assert steps.min() >= 0 and steps.max() <= 5
    assert decode_mask(saved(SELECTED.astype(np.uint8) * 128)).max() == 128


def labels() -> UInt8Array:
    mask = SELECTED.astype(np.uint8)
    mask[80:120, 100:180] = 4
    return mask


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (saved(picture(192, 128)), "several colours, as a photo or a map of labels"),
        (saved(np.dstack([picture(192, 128), 255 - SELECTED.astype(np.uint8) * 255])), "several colours"),
        (saved(np.maximum(painted(255, 0, 0), np.roll(painted(0, 0, 255), 60, axis=1))), "several colours"),
        (saved(np.where(SELECTED[..., None], painted(255, 0, 0), np.uint8(255))), "several colours"),
        (saved(labels()), "values of 1, 4 only, of 255, as a map of several labels has; accepted is white"),
        (saved((np.arange(64 * 96) % 20).astype(np.uint8).reshape(64, 96)), "1, 2, 3, 4, 5, 6, 7, 8 and others"),
    ],
    ids=["a photo", "a photo with a hole", "two brushes", "red on white", "two labels", "many labels"],
)
def test_several_meanings_are_refused(mask: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        decode_mask(mask)
