"""Line charts side by side as one PNG, drawn with Pillow like `benchmarks.plot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.plot import COLOURS, GRID, HEIGHT, INK, WIDTH, nice_limit

TOP, BOTTOM, LEFT, GAP = 130, 110, 80, 30
TICKS = 5
DOT = 5
# The bars' first two colours are too pale for lines.
LINES = COLOURS[2:] + COLOURS[:2]


@dataclass(frozen=True)
class Panel:
    """One chart: curves by name, each a list of (x, y), none negative. `marks` label the first curve's points."""

    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    marks: Sequence[str] = field(default_factory=tuple)


def curves(path: Path, title: str, subtitle: str, panels: Sequence[Panel]) -> None:
    """Write the panels side by side under a title. Axes start at zero."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    fonts = {size: ImageFont.load_default(size) for size in (15, 18, 28)}
    draw.text((LEFT, 18), title, INK, fonts[28])
    draw.text((LEFT, 54), subtitle, "#666666", fonts[15])
    width = (WIDTH - GAP) // len(panels)
    for index, panel in enumerate(panels):
        _panel(draw, fonts, panel, index * width + LEFT, (index + 1) * width)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _panel(
    draw: ImageDraw.ImageDraw, fonts: Mapping[int, ImageFont.ImageFont | ImageFont.FreeTypeFont], panel: Panel, x0: int, x1: int
) -> None:
    points = [point for values in panel.series.values() for point in values]
    right, high = (nice_limit(max((point[axis] for point in points), default=1.0)) for axis in (0, 1))
    y0, y1 = HEIGHT - BOTTOM, TOP
    draw.text((x0, TOP - 44), panel.title, INK, fonts[18])
    draw.text((x0 - 10, TOP - 16), panel.y_label, INK, fonts[15], anchor="rm")
    draw.text(((x0 + x1) / 2, y0 + 30), panel.x_label, INK, fonts[15], anchor="ma")
    for tick in range(TICKS + 1):
        share = tick / TICKS
        y, x = y0 + (y1 - y0) * share, x0 + (x1 - x0) * share
        draw.line((x0, y, x1, y), GRID)
        draw.text((x0 - 10, y), f"{high * share:g}", INK, fonts[15], anchor="rm")
        draw.text((x, y0 + 8), f"{right * share:g}", INK, fonts[15], anchor="ma")
    legend = float(x0)
    for number, ((name, values), colour) in enumerate(zip(panel.series.items(), LINES, strict=False)):
        places = [(x0 + (x1 - x0) * x / right, y0 + (y1 - y0) * y / high) for x, y in values]
        if len(places) > 1:
            draw.line(places, colour, width=3)
        for place, (x, y) in enumerate(places):
            draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), colour)
            if number == 0 and place < len(panel.marks):
                draw.text((x, y + 10), panel.marks[place], INK, fonts[15], anchor="ma")
        draw.rectangle((legend, HEIGHT - 32, legend + 14, HEIGHT - 18), colour)
        draw.text((legend + 20, HEIGHT - 25), name, INK, fonts[15], anchor="lm")
        legend += 44 + draw.textlength(name, fonts[15])
