"""Eight checks that say whether this machine can run Respray, and for every failure the command or setting that fixes it.

The package imports nothing but the standard library, and runs on any Python from 3.8, because it must work before anything is
installed (`scripts/check_runpod_environment.sh`). A check that needs an installed package imports it inside and says what to
install where it cannot.
"""

from respray.doctor.examination import CHECKS, examine
from respray.doctor.finding import FAIL, PASS, WARN, CheckResult, Finding
from respray.doctor.situation import Situation

__all__ = ["CHECKS", "FAIL", "PASS", "WARN", "CheckResult", "Finding", "Situation", "examine"]
