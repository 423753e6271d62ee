"""Training photos made more varied than rendering could afford: other paint, pasted furniture, crops, and what cameras do.

An example is uint8 (S, S, 5): R, G, B, concept number, instance number (see ``training.dataset``).
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from training.arrays import Bools, Bytes
from training.scenes.scene_spec import CONCEPTS
from training.scenes.sensor import srgb_decode, srgb_encode

REPAINTED = tuple(CONCEPTS.index(c) for c in ("wall", "sofa", "bed", "curtain", "rug", "door", "cabinet", "chair"))
# What is taken from one room into another, and what it may hide there.
ON_WALLS = ("wall", "window", "door", "curtain", "picture", "baseboard")
PASTED = {
    "rug": ("floor", "rug"),
    "curtain": ON_WALLS,
    "door": ON_WALLS,
    "window": ON_WALLS,
    "picture": ("wall",),
    **dict.fromkeys(("sofa", "bed", "table", "chair", "plant", "lamp", "cabinet"), CONCEPTS),
}
STANDING = ("sofa", "bed", "table", "chair", "cabinet")
GROUND = ("floor", "rug")
MIN_PASTED_SHARE, MAX_PASTED_SHARE = 0.005, 0.35
MAX_INSTANCES = 254
# Codes of light in so fine steps that each code has one of its own.
_CODES = (srgb_encode(np.arange(4096) / 4095.0) * 255 + 0.5).astype(np.uint8)


def _any_of(concept: Bytes, names: tuple[str, ...]) -> Bools:
    return np.isin(concept, [CONCEPTS.index(n) for n in names])


def _stands(mask: Bools, concept: Bytes) -> bool:
    """Whether the lowest part of ``mask`` is on the ground, or below the photo."""
    last = int(np.flatnonzero(mask.any(1))[-1])
    foot = mask.copy()
    foot[: last - len(mask) // 40] = False
    return last == len(mask) - 1 or float(_any_of(concept[foot], GROUND).mean()) > 0.5


def paste(example: Bytes, other: Bytes, rng: np.random.Generator) -> None:
    """Put one or two things of the room ``other`` into ``example``, in place, where they stood in their own photo.

    After Ghiasi et al., "Simple Copy-Paste" (2021): a sofa in front of walls it was never rendered with, for the price of a copy.
    """
    instance = other[..., 4]
    counts, concept_of = np.bincount(instance.ravel(), minlength=256), np.zeros(256, np.uint8)
    concept_of[instance] = other[..., 3]
    numbers = np.flatnonzero(counts)
    concepts, share = concept_of[numbers], counts[numbers] / instance.size
    fits = (share > MIN_PASTED_SHARE) & (share < MAX_PASTED_SHARE)
    can = [i for i in range(len(numbers)) if numbers[i] and CONCEPTS[concepts[i]] in PASTED and fits[i]]
    for i in rng.permutation(can)[: 1 if rng.random() < 0.6 else 2]:
        new, name = int(example[..., 4].max()) + 1, CONCEPTS[concepts[i]]
        mask = (other[..., 4] == numbers[i]) & _any_of(example[..., 3], PASTED[name])
        if new > MAX_INSTANCES or mask.mean() < MIN_PASTED_SHARE or (name in STANDING and not _stands(mask, example[..., 3])):
            continue
        x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
        box = np.s_[max(y - 2, 0) : y + h + 2, max(x - 2, 0) : x + w + 2]  # so wide that the blur's mirrored border is empty
        # A hard edge would give the pasted thing away.
        soft = cv2.blur(mask[box].astype(np.float32), (3, 3))[..., None]
        place = example[box]
        place[..., :3] = place[..., :3] * (1 - soft) + other[box][..., :3] * soft + 0.5
        place[mask[box], 3:] = concepts[i], new


def repaint(photo: Bytes, concept: Bytes, rng: np.random.Generator) -> None:
    """Give walls or a kind of furniture in the photo, in place, another albedo: their linear light times a factor per channel.

    Light, shadow and pattern stay. Teaches that these may have any colour, an olive accent wall above all, for the price of a
    table instead of a rendering. Floors and ceilings keep theirs: a green floor is no help in telling floors apart.
    """
    there = [c for c in REPAINTED if (concept == c).any()]
    if not there:
        return
    # Mostly it is the wall: nothing else in real homes varies so much.
    c = there[0] if rng.random() < 0.5 else there[int(rng.integers(len(there)))]
    mask = (concept == c).astype(np.uint8)
    light = srgb_decode(np.arange(256) / 255.0)
    mean = srgb_decode(np.array(cv2.mean(photo, mask)[:3]) / 255.0)
    hue = srgb_decode(np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.9), 1.0)))
    wanted = hue * mean.mean() * np.exp(rng.uniform(-1.4, 0.4)) / hue.mean()
    table = srgb_encode(np.clip(light[:, None] * (wanted / np.maximum(mean, 0.005)), 0, 1)) * 255 + 0.5
    cv2.copyTo(cv2.LUT(photo, table.astype(np.uint8)[:, None]), mask, photo)


def sunlight(photo: Bytes, rng: np.random.Generator) -> None:
    """Throw a patch of sun or the glare of a window on the photo, in place, often so bright that it burns out.

    A parallelogram, as a window throws it, or an oval of glare; with a hard edge or a soft one.
    """
    size = photo.shape[0]
    half = size // 2  # smooth enough
    patch = np.zeros((half, half), np.uint8)
    (along, across), centre = rng.uniform(-0.3, 0.3, (2, 2)) * half, rng.uniform(0.1, 0.9, 2) * half
    corners = 4 if rng.random() < 0.6 else 32
    turn = np.arange(corners)[:, None] * (2 * np.pi / corners)
    outline = centre + np.cos(turn) * along + np.sin(turn) * across
    cv2.fillConvexPoly(patch, np.rint(outline).astype(np.int32), (255.0,))
    soft = size * float(np.exp(rng.uniform(np.log(0.002), np.log(0.06))))
    share = cv2.resize(cv2.GaussianBlur(patch, (0, 0), soft / 2), (size, size))
    x, y, w, h = cv2.boundingRect(share)
    if w == 0:
        return
    box, much = photo[y : y + h, x : x + w], share[y : y + h, x : x + w, None] / np.float32(255)
    light = srgb_decode(np.arange(256) / 255.0).astype(np.float32)[box]
    gain = np.float32(np.exp(rng.uniform(0.3, 2.0))) * np.array([1.0, rng.uniform(0.9, 1.0), rng.uniform(0.75, 1.0)], np.float32)
    box[:] = _CODES[np.minimum(light * (1 + much * (gain - 1)) * 4095 + 0.5, 4095).astype(np.int16)]


def augment(example: Bytes, other: Bytes, rng: np.random.Generator, strength: float = 1.0) -> Bytes:
    """Things pasted from ``other``, mirror, crop and zoom, then colour, blur, noise and JPEG as photos from anywhere have them.

    ``strength`` scales how often: 1 in a long training, less in a short one that has no time for hard examples.
    """
    size = example.shape[0]
    if rng.random() < 0.6 * strength:
        example = example.copy()
        paste(example, other[:, ::-1] if rng.random() < 0.5 else other, rng)
    if rng.random() < 0.5:
        example = example[:, ::-1]
    photo, labels = np.ascontiguousarray(example[..., :3]), np.ascontiguousarray(example[..., 3:])
    if rng.random() < 0.55 * strength:
        s = rng.uniform(0.55, 1.0)
        a = np.exp(rng.normal(0, 0.12))
        w, h = int(min(size, size * s * a)), int(min(size, size * s / a))
        x, y = int(rng.integers(0, size - w + 1)), int(rng.integers(0, size - h + 1))
        photo = cv2.resize(photo[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_LINEAR)
        labels = cv2.resize(labels[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.4 * strength:
        repaint(photo, labels[..., 0], rng)
    if rng.random() < 0.3 * strength:
        sunlight(photo, rng)
    if rng.random() < 0.8 * strength:
        # Tone curve and white balance as one look-up table per channel, saturation as a colour matrix.
        x = (np.arange(256) / 255.0) ** np.exp(rng.normal(0, 0.18))
        mid = rng.uniform(0.35, 0.6)
        x = mid + np.exp(rng.normal(0, 0.12)) * (x * np.exp(rng.normal(0, 0.12)) - mid)
        table = np.clip(x[:, None] * np.exp(rng.normal(0, 0.06, 3)) * 255 + 0.5, 0, 255).astype(np.uint8)
        photo = cv2.LUT(photo, table[:, None])
        sat = rng.uniform(0.5, 1.35) if rng.random() > 0.04 else 0.0
        photo = cv2.transform(photo, np.eye(3) * sat + (1 - sat) / 3)
    if rng.random() < 0.2 * strength:
        photo = cv2.GaussianBlur(photo, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.2 * strength:
        noise = np.rint(rng.standard_normal(photo.shape, dtype=np.float32) * rng.uniform(2, 10)).astype(np.int8)
        photo = cv2.add(photo, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.3 * strength:
        _, buf = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])
        photo = cv2.imdecode(buf, cv2.IMREAD_COLOR)
    return np.concatenate([photo, labels], axis=2)
