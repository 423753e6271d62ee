"""The quality suite: every rule against exact ground truth, and on real photos. Prints a table, writes JSON and one HTML page of pictures.

python -m benchmarks.quality                       # 16 rooms, a few minutes
python -m benchmarks.quality --rooms 4 --no-speed  # quick look
python -m benchmarks.quality --photos ../shared/photos
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from benchmarks.quality import borders, dark_jpeg, filling, geometry, materials, network, page, photos, recolor, repaints
from benchmarks.quality.cases import recolor_cases
from benchmarks.quality.speed import measure_speed
from benchmarks.quality.verdicts import Findings, verdicts

# Rooms that neither training nor tuning of constants has seen.
FIRST_SEED = 9500
WIDTH, HEIGHT = 600, 400
# Rooms are rendered larger and in several paints for these: so many of the first.
MATERIAL_ROOMS = 8


def main() -> None:
    """Run the suite and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=16, help="rendered rooms (default 16)")
    parser.add_argument("--out", type=Path, default=Path("build/quality"), help="where pictures, JSON and page go")
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"), help="photos with masks.json; skipped if absent")
    parser.add_argument("--no-speed", action="store_true", help="leave the timing out")
    parser.add_argument("--no-repaints", action="store_true", help="leave walls from paint to paint, and dark surfaces of JPEG files, out")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.rooms)

    # Speed first: peak memory can only be read while nothing larger has run.
    timings = [] if options.no_speed else [measure_speed(1080, 720), measure_speed(4000, 3000)]
    rows = recolor.run(recolor_cases(seeds, WIDTH, HEIGHT, out / "cache"))
    if not rows:
        raise SystemExit(f"none of {options.rooms} rooms has a surface to measure; give more with --rooms")
    colours = recolor.summary(rows)
    met = borders.borders(seeds, WIDTH, HEIGHT)
    seen = network.run(seeds, out / "cache")
    grids = geometry.textures(seeds)
    laid = materials.run(seeds[:MATERIAL_ROOMS])
    filled = filling.holes(seeds)
    removed = filling.removals(seeds)
    dark = [] if options.no_repaints else dark_jpeg.run(out / "dark_jpeg")
    pairs = [] if options.no_repaints else [pair for group in repaints.GROUPS.values() for pair in group()]
    painted = list(repaints.run(pairs, out / "cache", out / "repaints"))
    looks = list(photos.looks(options.photos)) if (options.photos / "masks.json").exists() else []

    facts = verdicts(Findings(rows, colours, grids, filled, removed, timings, met, seen, laid))
    index = page.write(out, facts, rows, page.table(colours), looks, removed, met, materials.table(laid))
    result = {
        "recolor": {"summary": colours, "cases": [row.numbers() for row in rows]},
        "borders": [row.numbers() for row in met],
        "network": [asdict(row) for row in seen],
        "texture": [asdict(row) for row in grids],
        "materials": asdict(laid),
        "holes": [asdict(row) for row in filled],
        "removals": [row.numbers() for row in removed],
        "dark_jpeg": [asdict(row) for row in dark],
        "repaints": [{"pair": pair.name, "scores": {k: asdict(v) for k, v in scores.items()}} for pair, scores, _ in painted],
        "speed": [asdict(timing) | {"ratio": timing.ratio} for timing in timings],
        "photos": [{"photo": look.photo, "name": look.name, "report": look.report.model_dump()} for look in looks],
    }
    (out / "quality.json").write_text(json.dumps(result, indent=1))
    more = [] if options.no_repaints else [dark_jpeg.table(dark), repaints.table(painted)]
    tables = (page.text(page.table(colours)), page.text(network.table(seen)), page.text(materials.table(laid)), page.text(facts))
    print(*tables, *more, f"pictures: {index}", sep="\n\n")


if __name__ == "__main__":
    main()
