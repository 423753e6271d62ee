"""Try neighbours of the new paint's and the burnt areas' parameters: CIEDE2000 against the room rendered with that paint."""

from __future__ import annotations

from respray.editing.paint.burnt_areas import BurntAreaParameters
from respray.editing.paint.recolor import RecolorParameters
from tools.fit.paints import paint_error
from tools.fit.rooms import repainted_surfaces, rooms_option
from tools.fit.search import print_scans, scan

RECOLOR_FIELDS = ("ease", "light_blur", "light_range")
BURNT_FIELDS = ("gain",)
# `burnt_from` must stay below `burnt_to`.
NARROW_FIELDS = ("burnt_from",)
NARROW_FACTORS = (0.7, 0.85, 1.0, 1.15, 1.3)


def main() -> None:
    """Scan, and print."""
    rooms = rooms_option(__doc__, 24)
    cases = repainted_surfaces(rooms)
    print(f"{len(cases)} surfaces of {rooms} rooms\n")

    def burnt_error(parameters: BurntAreaParameters) -> float:
        return paint_error(cases, burnt=parameters)

    print_scans(scan(lambda p: paint_error(cases, recolor=p), RecolorParameters(), RECOLOR_FIELDS), "CIEDE2000")
    burnt = BurntAreaParameters()
    print_scans([*scan(burnt_error, burnt, BURNT_FIELDS), *scan(burnt_error, burnt, NARROW_FIELDS, NARROW_FACTORS)], "CIEDE2000")


if __name__ == "__main__":
    main()
