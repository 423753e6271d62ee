"""One picture for each rule, which a reader can open in tests/golden, against what the rule makes today.

A wanted change: `python -m tools.golden`, look at each picture, commit them.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from respray.contract.request import Recolor, Remove, Rule, Texture, Tone
from tools.golden import FOLDER, RULES, as_jpeg, edit, largest_difference

# CIEDE2000 of 4 x 4 pixels: what an eye just sees. The same code on the same machine makes 0.
VISIBLE = 1.0
# The same rules a little wrong: a colour one step further, a bit less contrast, a material turned by a degree ...
SLIGHTLY_WRONG: list[tuple[str, Rule]] = [
    ("recolor", Recolor(color="#7C9088")),
    ("recolor", Recolor(color="#7C9082", strength=0.95)),
    ("tone", Tone(exposure=-0.25, warmth=0.6, contrast=0.2)),
    ("tone", Tone(exposure=-0.3, warmth=0.55, contrast=0.2)),
    ("texture", Texture(texture="tile_square", rotation=1.0)),
    ("texture", Texture(texture="tile_square", offset=(0.02, 0.0))),
    ("texture", Texture(texture="tile_square", scale=1.02)),
    ("remove_background", Remove(mode="background", color="#E9E4DE")),
]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_makes_its_golden_picture(name: str) -> None:
    golden = (FOLDER / f"{name}.jpg").read_bytes()
    assert len(golden) < 60_000
    assert largest_difference(as_jpeg(edit(name)), golden) < VISIBLE


@pytest.mark.parametrize(("name", "rule"), SLIGHTLY_WRONG)
def test_a_slightly_wrong_edit_shows(name: str, rule: Rule) -> None:
    assert largest_difference(as_jpeg(edit(name, rule)), (FOLDER / f"{name}.jpg").read_bytes()) > VISIBLE


@pytest.mark.parametrize("name", RULES)
def test_a_hundred_shifted_pixels_show(name: str) -> None:
    """A fault of one spot: 12 x 12 pixels a little too light."""
    picture = np.asarray(Image.open(io.BytesIO((FOLDER / f"{name}.jpg").read_bytes()))).copy()
    picture[200:216, 240:256] = np.where(picture[200:216, 240:256] < 128, picture[200:216, 240:256] + 8, picture[200:216, 240:256] - 8)
    assert largest_difference(as_jpeg(picture), (FOLDER / f"{name}.jpg").read_bytes()) > VISIBLE
