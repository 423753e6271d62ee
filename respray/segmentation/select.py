"""The decoder's answer for one concept to its region and its instances."""

from dataclasses import dataclass

import cv2
import numpy as np

from respray.segmentation.errors import TensorError

# uint8 probability p stands for p / 255, and the graphs round: 128 is the first one above one half.
MASK_LEVEL = 128


@dataclass(frozen=True)
class ConceptMasks:
    """What the model sees of one concept in one photo, at the model's resolution.

    Attributes:
        region: uint8 [h, w], probability x 255 that a pixel belongs to the concept (the union of all instances).
        masks: uint8 [I, h, w], probability x 255 per instance, best instance first.
        scores: float32 [I] in descending order, all above the threshold.
        boxes: float32 [I, 4], (x0, y0, x1, y1) as fractions of the photo's width and height.
        presence: probability 0..1 that the photo shows the concept at all.
    """

    region: np.ndarray
    masks: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    presence: float


def select_concept(
    region: np.ndarray, masks: np.ndarray, scores: np.ndarray, boxes: np.ndarray, *, presence: float, threshold: float
) -> ConceptMasks:
    """Keep the instances whose score is above `threshold` (transformers' `post_process_instance_segmentation`: no NMS).

    Args:
        region: uint8 [h, w]. masks: uint8 [K, h, w]. scores: float32 [K]. boxes: float32 [K, 4].
        presence: 0..1. threshold: 0..1.

    Raises:
        TensorError: shapes do not belong together.
    """
    count = len(scores)
    if masks.shape != (count, *region.shape) or boxes.shape != (count, 4):
        raise TensorError(
            f"masks {list(masks.shape)}, boxes {list(boxes.shape)}, scores {list(scores.shape)} and region {list(region.shape)} "
            "are not the [K, h, w], [K, 4], [K] and [h, w] of one concept"
        )
    keep = np.flatnonzero(scores > threshold)
    keep = keep[np.argsort(-scores[keep], kind="stable")]
    return ConceptMasks(region, masks[keep], scores[keep], boxes[keep], float(presence))


def binary_masks(probabilities: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [I, h, w] probabilities to boolean [I, height, width] masks: bilinear (half-pixel centres), then above one half."""
    resized = np.empty((len(probabilities), height, width), dtype=bool)
    for index, probability in enumerate(probabilities):
        # In float: resizing rounded bytes would move the contour.
        large = cv2.resize(probability.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        resized[index] = large >= MASK_LEVEL - 0.5
    return resized


def boxes_in_pixels(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 [I, 4] fractions to pixels of a `height` x `width` photo, (x0, y0, x1, y1)."""
    return boxes * np.array([width, height, width, height], dtype=np.float32)
