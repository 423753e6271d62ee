"""Dark surfaces of JPEG files made light: blocks, zones of other hues, and torn rims beside something bright.

Two pictures with a known truth, drawn in seconds: a panelled near-black wall with smooth light, and a black sofa beside a white table.

    python -m benchmarks.quality.dark_jpeg
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from benchmarks.quality.metrics import exposure_between, inner, outer
from benchmarks.quality.recolor import network_mask
from benchmarks.quality.speed import segments_of
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor
from respray.editing.apply import edit_photo
from respray.editing.core.color import LUMINANCE, decode_srgb, delta_e_2000, encode_srgb, hex_to_linear, srgb8_to_lab
from respray.imaging.arrays import BoolArray, FloatArray, UInt8Array
from respray.imaging.decode import decode, decode_photo

WIDTH, HEIGHT = 720, 480
BLOCK = 8
# Smaller than a block is no zone.
ZONE = 17
# How far a rim reaches into the surface and out of it, pixels.
RIM_IN, RIM_OUT = 3, 1
# A rim's pixel is torn that has less than this of the light that it should.
TORN = 0.6
CREAM, OFF_WHITE = "#EFE3CB", "#EFE9DD"


@dataclass(frozen=True)
class Job:
    """A drawn photo without its camera: `light` is what falls on everything, `albedo` by place; the surface `mask` gets `color`."""

    name: str
    light: FloatArray
    albedo: FloatArray
    mask: BoolArray
    color: str

    @property
    def truth(self) -> UInt8Array:
        """uint8 [H,W,3]: with the new colour, without noise and JPEG."""
        return self._seen(np.where(self.mask[..., None], hex_to_linear(self.color), self.albedo), 0.0)

    def photo(self, quality: int) -> bytes:
        """The photo as a JPEG file of a quality; 0: as PNG."""
        kind, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]) if quality else (".png", [])
        return bytes(cv2.imencode(kind, self._seen(self.albedo, 1.5)[..., ::-1], options)[1])

    def _seen(self, albedo: FloatArray, noise: float) -> UInt8Array:
        lens = cast(FloatArray, cv2.GaussianBlur((albedo * self.light).astype(np.float32), (0, 0), 0.7))
        codes = (
            encode_srgb(lens).astype(np.float32) + np.random.default_rng(3).normal(0.0, noise, lens.shape) if noise else encode_srgb(lens)
        )
        return np.clip(np.round(codes), 0, 255).astype(np.uint8)


def dark_wall(color: str = OFF_WHITE) -> Job:
    """A charcoal wall with battens under light from a window at the left."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 0.25 + 0.65 * np.exp(-(((x - 60) / 420) ** 2) - ((y - 200) / 380) ** 2)
    # Battens: a lit flank, then a shadow.
    light *= 1.0 + 0.10 * np.exp(-(((x % 90 - 20) / 1.2) ** 2)) - 0.35 * np.exp(-(((x % 90 - 24) / 2.0) ** 2))
    mask = (y > 40) & (y < 400)
    albedo = np.where(mask[..., None], np.array([0.021, 0.023, 0.025], np.float32), np.array([0.42, 0.40, 0.36], np.float32))
    return Job("wall", light[..., None], albedo, mask, color)


def black_sofa(color: str = CREAM) -> Job:
    """A black sofa with cushions behind a white table, before a grey wall."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    light = 0.55 + 0.35 * np.cos((x - 200) / 500) * np.cos((y - 100) / 500)
    sofa = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(sofa, (360, 300), (300, 150), 0, 0, 360, [1], -1)
    cv2.rectangle(sofa, (80, 240), (640, 420), [1], -1)
    folds = 1.0 - 0.4 * np.exp(-(((x - 260) / 3) ** 2)) - 0.4 * np.exp(-(((x - 460) / 3) ** 2)) - 0.35 * np.exp(-(((y - 290) / 4) ** 2))
    table = np.zeros_like(sofa)
    cv2.fillPoly(table, [np.array([(190, 330), (560, 345), (600, 440), (150, 425)])], [1])
    cv2.circle(table, (330, 250), 34, [1], -1)
    bright = table > 0
    mask = (sofa > 0) & ~bright
    albedo = np.where(bright[..., None], np.array([0.86, 0.85, 0.82], np.float32), np.array([0.30, 0.30, 0.28], np.float32))
    albedo = np.where(mask[..., None], np.array([0.008, 0.008, 0.0085], np.float32), albedo)
    return Job("sofa", np.where(mask, light * folds, light)[..., None].astype(np.float32), albedo, mask, color)


@dataclass(frozen=True)
class Finding:
    """What JPEG left in an edit. `blocks`: by how many codes steps over block borders exceed the others; `a_spread`, `b_spread`: of a* and
    b* averaged over a zone, 5th to 95th percentile, beyond the truth's; `torn`: share of the rim's pixels with less than `TORN` of the true
    light; `mean`, `p95`: CIEDE2000 to the truth. All after one exposure factor."""

    job: str
    quality: int
    blocks: float
    a_spread: float
    b_spread: float
    torn: float
    mean: float
    p95: float
    warnings: tuple[str, ...]


def measure(job: Job, quality: int, looks: Path | None = None) -> Finding:
    """Edit a job's photo and say what JPEG left."""
    data, probability = job.photo(quality), network_mask(job.mask)
    request = PhotoRequest(
        concepts=[ConceptQuery(name="it", prompts=["it"])],
        outputs=[Output(name="out", edits=[Edit(concept="it", rule=Recolor(color=job.color))])],
        preview_size=0,
    )
    result = edit_photo(decode_photo(data), segments_of(probability), request, [])
    edited, truth = decode(result.files[0]), job.truth
    if looks is not None:
        looks.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(looks / f"{job.name}-q{quality}.png"), np.hstack([decode(data), edited, truth])[..., ::-1])
    solid = inner(job.mask, 3)
    rim = outer(job.mask, RIM_OUT) & ~inner(job.mask, RIM_IN)
    # One photo does not tell how bright the light is.
    edited = encode_srgb(decode_srgb(edited) * np.float32(exposure_between(edited, truth, solid)))
    light, wanted = (decode_srgb(picture) @ LUMINANCE for picture in (edited, truth))
    lab, true = srgb8_to_lab(edited), srgb8_to_lab(truth)
    error = delta_e_2000(lab[solid], true[solid])
    zones = [cv2.blur(np.ascontiguousarray((lab - true)[..., c]), (ZONE, ZONE))[inner(job.mask, ZONE // 2)] for c in (1, 2)]
    a_spread, b_spread = (float(np.percentile(zone, 95) - np.percentile(zone, 5)) for zone in zones)
    torn = float((light < TORN * wanted)[rim].mean())
    warnings = tuple(result.report.outputs[0].edits[0].warnings)
    return Finding(
        job.name,
        quality,
        blockiness(edited, truth, solid),
        a_spread,
        b_spread,
        torn,
        float(error.mean()),
        float(np.percentile(error, 95)),
        warnings,
    )


def blockiness(edited: UInt8Array, truth: UInt8Array, where: BoolArray) -> float:
    """Mean step over block borders less the mean step elsewhere, codes, of the difference to the truth; the worse of both directions."""
    codes = (edited.astype(np.float32) - truth).mean(axis=2)
    worst = 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(codes, axis=axis))
        both = np.take(where, range(1, where.shape[axis]), axis) & np.take(where, range(where.shape[axis] - 1), axis)
        border = np.expand_dims(np.arange(steps.shape[axis]) % BLOCK == BLOCK - 1, 1 - axis)
        worst = max(worst, float(steps[both & border].mean() - steps[both & ~border].mean()))
    return worst


def run(looks: Path | None = None) -> list[Finding]:
    """Both jobs at the qualities of messengers, phones and cameras, and lossless."""
    return [measure(job, quality, looks) for job in (dark_wall(), black_sofa()) for quality in (60, 80, 92, 0)]


def table(found: list[Finding]) -> str:
    """Markdown."""
    head = (
        "| surface | quality | block steps, codes | a* spread | b* spread | torn rim | CIEDE2000 | p95 |\n|---|---|---|---|---|---|---|---|"
    )
    rows = [
        f"| {f.job} | {f.quality or 'lossless'} | {f.blocks:.2f} | {f.a_spread:.1f} | {f.b_spread:.1f} | {f.torn:.1%} "
        f"| {f.mean:.2f} | {f.p95:.2f} |"
        for f in found
    ]
    return "\n".join([head, *rows])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/quality"), help="where pictures go")
    found = run(parser.parse_args().out / "dark_jpeg")
    print(table(found))
    for finding in found:
        print(finding.job, finding.quality, *finding.warnings)


if __name__ == "__main__":
    main()
