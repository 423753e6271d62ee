"""The README's picture of the demo: photos, what was found in them, results.

respray demo && python -m tools.docs.demo_picture
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

PROJECT = Path(__file__).resolve().parents[2]
DEMO, PICTURE = PROJECT / "out" / "demo", PROJECT / "docs" / "images" / "demo.jpg"
# A room with a wall and a floor in other colours, and one with a dark floor: photo, overlay, result.
ROWS = (
    ("store/inputs/demo/living_rooms/2.jpg", "overlays/02.jpg", "store/outputs/demo/living_rooms/2_result.png"),
    ("store/inputs/demo/two_looks/0.jpg", "overlays/04.jpg", "store/outputs/demo/two_looks/walnut_floor/0.jpg"),
)
WIDTH, HEIGHT, GAP = 480, 320, 8


def main() -> None:
    """Compose it from what `respray demo` has written."""
    columns = len(ROWS[0])
    sheet = Image.new("RGB", (columns * (WIDTH + GAP) + GAP, len(ROWS) * (HEIGHT + GAP) + GAP), "white")
    for row, files in enumerate(ROWS):
        for column, file in enumerate(files):
            with Image.open(DEMO / file) as picture:
                small = picture.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
            sheet.paste(small, (GAP + column * (WIDTH + GAP), GAP + row * (HEIGHT + GAP)))
    sheet.save(PICTURE, quality=90)


if __name__ == "__main__":
    main()
