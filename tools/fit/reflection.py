"""Try neighbours of the dichromatic model's parameters: CIEDE2000 of a new paint against the room rendered with that paint."""

from __future__ import annotations

from respray.editing.surface.reflection import ReflectionParameters
from tools.fit.paints import paint_error
from tools.fit.rooms import repainted_surfaces, rooms_option
from tools.fit.search import print_scans, scan

FIELDS = ("grey_chroma", "colored_chroma", "ridge", "min_specular", "noise_share", "max_burnt_shading")
# Where double or half is beyond what means anything: shading 1 is the reference, and `burnt_from` must stay below `burnt_to`.
NARROW_FIELDS = ("max_matt_shading", "burnt_from")
NARROW_FACTORS = (0.8, 0.9, 1.0, 1.1, 1.3)


def main() -> None:
    """Scan, and print."""
    rooms = rooms_option(__doc__, 24)
    cases = repainted_surfaces(rooms)
    print(f"{len(cases)} surfaces of {rooms} rooms\n")

    def error(parameters: ReflectionParameters) -> float:
        return paint_error(cases, reflection=parameters)

    shipped = ReflectionParameters()
    print_scans([*scan(error, shipped, FIELDS), *scan(error, shipped, NARROW_FIELDS, NARROW_FACTORS)], "CIEDE2000")


if __name__ == "__main__":
    main()
