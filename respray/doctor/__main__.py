"""`python -m respray.doctor`: the doctor without the command line's packages, for machines where nothing is installed yet."""

from __future__ import annotations

import argparse
import os
import sys

from respray.doctor.examination import CHECKS, examine
from respray.doctor.report import as_json, as_text, exit_code, is_coloured
from respray.doctor.situation import Situation, checkout, with_dotenv


def main(arguments: list[str] | None = None) -> int:
    """Parse the flags, run the checks, print the report; 0 or 1 (2 for a wrong flag)."""
    parser = argparse.ArgumentParser(prog="respray doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.add_argument("--gpu", choices=["auto", "required", "optional"], default="auto", help="whether a missing GPU fails")
    parser.add_argument("--only", action="append", default=[], choices=[check.NAME for check in CHECKS], help="run only this check")
    parser.add_argument("--quick", action="store_true", help="compare sizes of model files instead of reading them for checksums")
    options = parser.parse_args(arguments)
    situation = Situation(with_dotenv(os.environ, checkout() / ".env"), gpu=options.gpu, full_checksums=not options.quick)
    results = examine(situation, tuple(options.only))
    print(as_json(results) if options.json else as_text(results, colour=is_coloured()))
    return exit_code(results)


if __name__ == "__main__":
    sys.exit(main())
