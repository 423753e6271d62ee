"""A file that makes its decoder run for minutes, take memory without end, or crash, costs itself its answer and nobody else anything."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from respray.contract.errors import ImageError
from respray.editing.mask.png_rows import read_mask, unfilter
from respray.imaging.decode import decode, decode_mask
from respray.imaging.isolated import DecoderProcess, decoding_in
from tests.imaging.test_bounded_work import with_scans


def saved(kind: str, size: tuple[int, int] = (80, 64)) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    one = DecoderProcess()
    yield one
    one.close()


def process_of(decoder: DecoderProcess) -> psutil.Process:
    assert decoder._process is not None
    return psutil.Process(decoder._process.pid)


def test_a_mask_may_have_any_size_and_a_photo_may_not(decoder: DecoderProcess) -> None:
    stream = io.BytesIO()
    Image.new("L", (1, 3), 255).save(stream, "PNG")
    assert unfilter(decoder.decode_mask(stream.getvalue()).values).tolist() == [[255], [255], [255]]
    with pytest.raises(ImageError, match="1 x 3 pixels; at least 8"):
        decoder.decode(saved("PNG", (1, 3)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_pixels_are_the_same(decoder: DecoderProcess, kind: str) -> None:
    assert np.array_equal(decoder.decode(saved(kind)), decode(saved(kind)))
    stream = io.BytesIO()
    Image.open(io.BytesIO(saved(kind))).convert("L").save(stream, kind)
    with decoding_in(decoder):
        assert np.array_equal(read_mask(stream.getvalue()), decode_mask(stream.getvalue()))


def test_a_refused_file_is_refused_in_the_same_words_and_the_process_goes_on(decoder: DecoderProcess) -> None:
    decoder.decode(saved("PNG"))
    before = process_of(decoder).pid
    for data in (b"", b"no picture at all", saved("PNG")[:400]):
        with pytest.raises(ImageError) as theirs:
            decode(data)
        with pytest.raises(ImageError) as ours:
            decoder.decode(data)
        assert str(ours.value) == str(theirs.value)
    assert process_of(decoder).pid == before


def test_a_file_that_takes_too_long_is_ended_and_the_next_one_decoded() -> None:
    decoder = DecoderProcess(seconds=1.0)
    try:
        decoder.start()
        os.kill(process_of(decoder).pid, signal.SIGSTOP)  # a decoder that comes to no end
        with pytest.raises(ImageError, match="takes more than 1 s to decode"):
            decoder.decode(saved("PNG"))
        decoder._seconds = 60.0
        assert decoder.decode(saved("PNG")).shape == (64, 80, 3)
    finally:
        decoder.close()


def test_whoever_went_away_ends_the_decoding(decoder: DecoderProcess) -> None:
    decoder.decode(saved("PNG"))
    process = process_of(decoder)
    process.suspend()
    with pytest.raises(InterruptedError):
        decoder.decode(saved("PNG"), cancelled=lambda: True)
    assert not process.is_running()


def test_a_crash_is_one_files_error(decoder: DecoderProcess) -> None:
    decoder.decode(saved("PNG"))
    process = process_of(decoder)
    process.suspend()
    threading.Timer(0.2, process.kill).start()
    with pytest.raises(ImageError, match=r"ends the program that decodes it \(SIGKILL\)"):
        decoder.decode(saved("PNG"))
    assert decoder.decode(saved("PNG")).shape == (64, 80, 3)


GREEDY = """
import json, socket, sys
import numpy as np
from respray.imaging import decoder_main
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
def decode(data, megapixels):
    np.ones(int(sys.argv[1]) << 20, np.uint8)
    return {"pixels": np.zeros((64, 80, 3), np.uint8)}
decoder_main.TASKS["decode"] = decode
decoder_main.answer(ours, "decode", sys.stdin.buffer.read(), 67.0)
print(json.loads(theirs.recv(1 << 16)))
"""


@pytest.mark.parametrize(("mebibytes", "said"), [(100, "'shapes'"), (900, "far more memory than a photo of its size")])
def test_memory_is_bounded_by_the_size_that_the_header_was_accepted_for(mebibytes: int, said: str) -> None:
    command = [sys.executable, "-c", GREEDY, str(mebibytes)]
    done = subprocess.run(command, input=saved("PNG"), capture_output=True, timeout=60, check=True)
    assert said in done.stdout.decode()


def test_a_jpeg_of_the_most_scans_comes_to_its_end(decoder: DecoderProcess) -> None:
    assert decoder.decode(with_scans(50)).shape == (64, 80, 3)


def test_the_process_inherits_no_secret_and_ends_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_SECRET_KEY", "hidden-value")
    decoder = DecoderProcess()
    decoder.decode(saved("PNG"))
    process = process_of(decoder)
    environment = Path(f"/proc/{process.pid}/environ").read_bytes()
    assert b"hidden-value" not in environment and b"PYTHONPATH" in environment
    del decoder
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)
