"""Check 4: image codecs, tried on a real picture, and room in the shared memory that Triton's Python models exchange tensors through."""

from __future__ import annotations

import importlib.util
import io
import os

from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation

NAME = "codecs"
TITLE = "Image codecs and shared memory"

_FORMATS = ("JPEG", "PNG", "WEBP")
_MIB = 1024 * 1024
# A 50 megapixel photo is 150 MB as pixels and passes through shared memory twice; 64 MB is Docker's default.
_NEEDED = 256 * _MIB
_COMFORTABLE = 1024 * _MIB
_REINSTALL = "pip install --force-reinstall {}"


def run(situation: Situation) -> list[Finding]:
    """Codec findings, then shared memory."""
    return [*_pillow(), *_opencv(situation), _shared_memory(situation)]


def _pillow() -> list[Finding]:
    """Encode and decode a small picture in every accepted format, and look for ICC support (colour management on decode)."""
    try:
        from PIL import Image, features
    except ImportError as error:
        return [Finding(FAIL, f"Pillow cannot be imported: {error}", "pip install 'pillow>=12.3'")]
    findings, working = [], []
    for name in _FORMATS:
        try:
            buffer = io.BytesIO()
            Image.new("RGB", (16, 16), (200, 120, 40)).save(buffer, name)
            with Image.open(io.BytesIO(buffer.getvalue()), formats=[name]) as picture:
                picture.load()
            working.append(name)
        except Exception as error:
            findings.append(
                Finding(FAIL, f"Pillow cannot write and read {name}: {type(error).__name__} {error}", _REINSTALL.format("pillow"))
            )
    if working:
        findings.insert(0, Finding(PASS, f"Pillow writes and reads {', '.join(working)}"))
    if not features.check("littlecms2"):
        findings.append(Finding(FAIL, "Pillow has no Little CMS: colour profiles would be ignored", _REINSTALL.format("pillow")))
    return findings


def _opencv(situation: Situation) -> list[Finding]:
    """OpenCV does the image maths, where Triton runs; its usual failure is a missing libGL of the non-headless build."""
    if situation.environment.get("TRITON_URL") and importlib.util.find_spec("cv2") is None:
        return []
    try:
        import cv2
        import numpy
    except Exception as error:  # ImportError, or an AttributeError of a half-installed package
        fix = "pip uninstall -y opencv-python; pip install --force-reinstall 'opencv-python-headless==4.11.0.86'"
        return [Finding(FAIL, f"OpenCV cannot be imported: {error}", fix)]
    encoded, data = cv2.imencode(".png", numpy.zeros((16, 16, 3), numpy.uint8))
    if not encoded or cv2.imdecode(data, cv2.IMREAD_COLOR) is None:
        return [Finding(FAIL, "OpenCV cannot write and read PNG", _REINSTALL.format("'opencv-python-headless==4.11.0.86'"))]
    return [Finding(PASS, f"OpenCV {cv2.__version__} works")]


def _shared_memory(situation: Situation) -> Finding:
    """Size and free space of /dev/shm: when it is full, Triton fails with a message that does not say so."""
    folder = situation.shared_memory
    fix = "docker run --shm-size=2g ...; compose: shm_size: 2gb; Kubernetes: an emptyDir with medium Memory at /dev/shm"
    if not folder.is_dir():
        return Finding(FAIL, f"{folder} does not exist", fix)
    room = os.statvfs(folder)
    size, free = room.f_frsize * room.f_blocks, room.f_frsize * room.f_bavail
    what = f"{folder}: {size // _MIB} MiB, {free // _MIB} MiB free"
    if size < _NEEDED:
        return Finding(FAIL, f"{what}; large photos need {_NEEDED // _MIB} MiB", fix)
    if free < _NEEDED:
        return Finding(FAIL, f"{what}; something has filled it", f"ls -l {folder}, remove what a dead server left, or {fix}")
    if size < _COMFORTABLE:
        return Finding(WARN, f"{what}; {_COMFORTABLE // _MIB} MiB are comfortable", fix)
    return Finding(PASS, what)
