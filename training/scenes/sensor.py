"""From scene radiance to an 8-bit photo, and what each step does to it."""

from __future__ import annotations

import cv2
import numpy as np

from training.arrays import Bytes, Floats
from training.scenes.scene_spec import Sensor


def neutral() -> Sensor:
    """Exposure and the sRGB curve, nothing else: no tone curve, noise, bloom or JPEG."""
    return Sensor(shoulder=1.0)


def srgb_encode(x: Floats) -> Floats:
    """Linear [0, 1] to sRGB [0, 1] (IEC 61966-2-1)."""
    x = np.clip(x, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(x, 1 / 2.4) - 0.055)


def srgb_decode(x: Floats) -> Floats:
    """sRGB [0, 1] to linear [0, 1] (IEC 61966-2-1)."""
    x = np.asarray(x)
    return np.where(x <= 0.04045, x / 12.92, np.power((x + 0.055) / 1.055, 2.4))


_ENCODE_TABLE = srgb_encode(np.linspace(0, 1, 4097)).astype(np.float32)


def exposure_of(linear: Floats, sensor: Sensor) -> float:
    """Factor that brings the picture's log-average to middle grey, as a camera's meter does, plus ``ev`` stops."""
    y = linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    y = np.clip(y, 1e-3, np.percentile(y, 92))
    return float(0.30 / np.exp(np.mean(np.log(y + 1e-3))) * 2.0**sensor.ev)


def develop(linear: Floats, sensor: Sensor, exposure: float, seed: int) -> Bytes:
    """Photo (H,W,3) uint8 sRGB of radiance ``linear`` (H,W,3) float32.

    The noise depends on ``seed`` and on the picture's brightness only, so an edited room keeps its noise pattern.
    """
    h, w = linear.shape[:2]
    x = np.maximum(linear, 0) * (exposure * np.asarray(sensor.white, np.float32))
    scale = np.sqrt(h * w) / 336.0
    if sensor.bloom > 0:
        bright = np.minimum(np.maximum(x - 1.0, 0), 3.0)
        small = cv2.resize(bright, (max(w // 4, 8), max(h // 4, 8)), interpolation=cv2.INTER_AREA)
        glow = cv2.GaussianBlur(small, (0, 0), 5 * scale) + 0.5 * cv2.GaussianBlur(small, (0, 0), 14 * scale)
        x = x + sensor.bloom * cv2.resize(glow, (w, h), interpolation=cv2.INTER_LINEAR)
    if sensor.vignette > 0:
        yy = (np.arange(h, dtype=np.float32)[:, None] / h - 0.5) * 2
        xx = (np.arange(w, dtype=np.float32)[None] / w - 0.5) * 2
        x = x * (1 - sensor.vignette * 0.5 * (xx * xx + yy * yy))[..., None]
    if sensor.flat > 0:
        # Exposure fusion, the usual look of property photos: shadows are lifted by a blurred local exposure.
        y = np.log(x.mean(2) + 0.02)
        small = cv2.resize(y, (max(w // 8, 8), max(h // 8, 8)), interpolation=cv2.INTER_AREA)
        base = cv2.resize(cv2.GaussianBlur(small, (0, 0), 3 * scale), (w, h), interpolation=cv2.INTER_LINEAR)
        x = x * np.exp(-sensor.flat * (base - np.log(0.35)))[..., None]
    s = sensor.shoulder
    if s < 1:
        over = np.maximum(x - s, 0)
        x = np.where(x > s, s + (1 - s) * (1 - np.exp(-over / (1 - s))), x)
    if sensor.blur > 0:
        x = cv2.GaussianBlur(x.astype(np.float32), (0, 0), sensor.blur * max(scale, 0.5))
    if sensor.noise > 0:
        rng = np.random.default_rng(seed)
        n = rng.standard_normal((h, w, 3), dtype=np.float32)
        n = 0.6 * n + 0.4 * n.mean(2, keepdims=True) * 1.7
        x = x + n * sensor.noise * np.sqrt(np.maximum(x, 0) + 0.02)
    x = np.clip(x, 0, 1)
    t = _ENCODE_TABLE[(x * 4096).astype(np.int32)]
    if sensor.contrast:
        t = t + sensor.contrast * np.sin(2 * np.pi * (t - 0.5)) / (2 * np.pi)
    if sensor.saturation != 1:
        grey = t.mean(2, keepdims=True)
        t = grey + sensor.saturation * (t - grey)
    if sensor.sharpen > 0:
        t = t + sensor.sharpen * (t - cv2.GaussianBlur(t, (0, 0), 0.9 * max(scale, 0.7)))
    out: Bytes = np.clip(t * 255 + 0.5, 0, 255).astype(np.uint8)
    if sensor.jpeg:
        _, buf = cv2.imencode(".jpg", out[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])
        out = cv2.imdecode(buf, cv2.IMREAD_COLOR)[..., ::-1].astype(np.uint8)
    return out


def sample_sensor(rng: np.random.Generator) -> Sensor:
    """A believable camera and its development."""
    warm = rng.normal(0, 0.06)
    return Sensor(
        ev=rng.normal(0.0, 0.35),
        white=(1 + warm, 1 + rng.normal(0, 0.012), 1 - warm),
        vignette=rng.uniform(0, 0.25),
        bloom=rng.choice([0.0, rng.uniform(0.02, 0.12)]),
        contrast=rng.uniform(-0.1, 0.35),
        saturation=rng.uniform(0.75, 1.25),
        shoulder=rng.uniform(0.55, 0.9),
        noise=rng.choice([rng.uniform(0, 0.006), rng.uniform(0.005, 0.03)], p=[0.75, 0.25]),
        blur=rng.choice([0.0, rng.uniform(0.3, 0.8)]),
        sharpen=rng.choice([0.0, rng.uniform(0.1, 0.6)]),
        jpeg=int(rng.integers(70, 96)),
        flat=rng.choice([0.0, rng.uniform(0.1, 0.35)]),
    )
