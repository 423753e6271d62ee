"""A grouped bar chart as a PNG, drawn with Pillow: one picture per benchmark does not justify a plotting library in every install."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1280, 720
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 100, 40, 110, 80
COLOURS = ("#b8b2a7", "#8a9a8e", "#4f7d8c", "#1f4e5f", "#c07a4d", "#7a4d6b")
INK, GRID = "#222222", "#e3e0da"


def grouped_bars(
    path: Path, titles: tuple[str, str], groups: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str
) -> None:
    """Write a chart with one group of bars per entry of `groups` and one bar per series (None: no bar).

    Args:
        path: the PNG to write.
        titles: the two lines above the chart.
        groups: labels along the x axis.
        series: values by name, as long as `groups`, none negative.
        unit: of the values, written on the y axis.
    """
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    fonts = {size: ImageFont.load_default(size) for size in (15, 18, 28)}
    draw.text((MARGIN_LEFT, 18), titles[0], INK, fonts[28])
    draw.text((MARGIN_LEFT, 54), titles[1], "#666666", fonts[15])
    top = nice_limit(max((value for values in series.values() for value in values if value is not None), default=1.0))
    bottom, height = HEIGHT - MARGIN_BOTTOM, HEIGHT - MARGIN_BOTTOM - MARGIN_TOP
    for tick in range(6):
        y = bottom - height * tick / 5
        draw.line((MARGIN_LEFT, y, WIDTH - MARGIN_RIGHT, y), GRID)
        draw.text((MARGIN_LEFT - 10, y), f"{top * tick / 5:g}", INK, fonts[15], anchor="rm")
    draw.text((MARGIN_LEFT - 10, MARGIN_TOP - 24), unit, INK, fonts[15], anchor="rm")
    slot = (WIDTH - MARGIN_LEFT - MARGIN_RIGHT) / len(groups)
    bar = slot * 0.8 / max(len(series), 1)
    for index, group in enumerate(groups):
        left = MARGIN_LEFT + slot * index + slot * 0.1
        draw.text((left + slot * 0.4, bottom + 10), group, INK, fonts[18], anchor="ma")
        for place, (colour, values) in enumerate(zip(COLOURS, series.values(), strict=False)):
            value = values[index]
            if value is None:
                continue
            x, y = left + bar * place, bottom - height * value / top
            draw.rectangle((x + 1, y, x + bar - 2, bottom), colour)
            draw.text((x + bar / 2, y - 3), f"{value:.3g}", INK, fonts[15], anchor="mb")
    x = float(MARGIN_LEFT)
    for colour, name in zip(COLOURS, series, strict=False):
        draw.rectangle((x, HEIGHT - 32, x + 14, HEIGHT - 18), colour)
        draw.text((x + 20, HEIGHT - 25), name, INK, fonts[15], anchor="lm")
        x += 44 + draw.textlength(name, fonts[15])
    image.save(path, optimize=True)


def nice_limit(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten above `value`."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)
