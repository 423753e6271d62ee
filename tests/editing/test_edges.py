"""Lists of edge pixels are read from smooth fields as whole tiles are, and mixed as two colours of light mix."""

from __future__ import annotations

import numpy as np

from respray.editing.core.field import Tile, sample, upsample
from respray.editing.core.unmix import MixedPixels, estimate_background, estimate_coverage, estimate_foreground, recomposite
from respray.editing.mask.fringe import MAX_TAIL_SHARE


def test_pixels_of_a_tile_are_read_as_the_tile_is() -> None:
    field = np.random.default_rng(0).random((13, 17, 3)).astype(np.float32)
    tile = Tile(40, 30, 90, 75, 200, 150)
    rows, columns = np.divmod(np.arange(45 * 50), 50)
    # OpenCV places pixels at 1/32 of a cell.
    assert np.abs(sample(field, tile, rows, columns).reshape(45, 50, 3) - upsample(field, tile)).max() < 1 / 32


def test_a_mixed_pixel_is_taken_apart_and_put_together_again() -> None:
    fore, back, new = (np.array([c], np.float32) for c in ((0.6, 0.5, 0.4), (0.05, 0.1, 0.2), (0.1, 0.2, 0.5)))
    share = np.array([0.3], np.float32)
    mixed = MixedPixels(share[:, None] * fore + (1 - share[:, None]) * back, fore, back)
    assert abs(estimate_coverage(mixed, np.array([200], np.uint8), MAX_TAIL_SHARE)[0] - 0.3) < 1e-3
    own = estimate_foreground(mixed, share)
    assert np.allclose(own, fore, atol=1e-5)
    assert np.allclose(estimate_background(mixed, share), back, atol=1e-5)
    assert np.allclose(recomposite(mixed, share, own, new), 0.3 * new + 0.7 * back, atol=1e-5)
