"""The event stream and the logs: what they do about readers, full disks and strangers' text."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from respray.observe.escaping import json_safe, lines, one_line
from respray.observe.events import Events
from respray.observe.output import LineWriter
from respray.observe.redaction import Redactor


def test_a_full_disk_under_stdout_stops_no_work() -> None:
    reasons: list[str] = []
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = LineWriter(descriptor, reasons.append)
    events = Events(writer)
    events.worker("ready")
    events.worker("cleaning_up")
    assert writer.drain(10)
    os.close(descriptor)
    assert reasons == ["they cannot be written: [Errno 28] No space left on device"], "said once"


def test_a_reader_that_stops_reading_holds_nobody_up_and_hears_what_was_lost() -> None:
    reader, descriptor = os.pipe()
    said = threading.Event()
    reasons: list[str] = []

    def hear(reason: str) -> None:
        reasons.append(reason)
        said.set()

    writer = LineWriter(descriptor, hear, max_lines=10)
    for _ in range(40):
        writer.write("x" * 65_536)  # more than a pipe holds
    assert not writer.drain(0.2)
    received = b""
    while not said.is_set() or not received.endswith(b"last\n"):
        received += os.read(reader, 1 << 20)
        if said.is_set() and not received.endswith(b"last\n"):
            writer.write("last")
    assert "were dropped" in reasons[0]
    assert len(received.splitlines()[0]) == 65_536, "lines are whole"


def test_a_process_that_ends_says_its_last_lines_first() -> None:
    """At the interpreter's end, when Python 3.12 starts no thread any more."""
    code = "from respray.observe.output import LineWriter\nwriter = LineWriter(1)\nfor number in range(5000): writer.write(str(number))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "4999" and done.stderr == ""


def test_a_process_whose_pipes_nobody_reads_ends() -> None:
    code = (
        "from respray.observe.events import Events, claim_stdout\n"
        "from respray.observe.logs import set_up_logging\n"
        "from respray.observe.redaction import Redactor\n"
        "import logging\n"
        "log, out = set_up_logging('INFO', Redactor()), claim_stdout()\n"
        "events = Events(out)\n"
        "for number in range(5000):\n"
        "    events.emit('item', text='x' * 500)\n"
        "    logging.getLogger('orchestrator').info('y' * 500)\n"
        "out.drain(0.1), log.drain(0.1)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\x9b31m", "\u2028", "\u202eevil", "\x7f", "\ud800"])
def test_strangers_text_stays_one_harmless_line(text: str) -> None:
    shown = one_line(f"field {text}: unknown")
    assert shown.isprintable() and shown.startswith("field ")
    line = json_safe(json.dumps({"name": text}, ensure_ascii=False))
    assert line.isprintable() and json.loads(line) == {"name": text}


def test_words_written_with_joiners_stay() -> None:
    assert one_line("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645") == "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"


def test_a_forged_line_within_a_traceback_is_indented() -> None:
    assert lines("ValueError: x\n2026-11-28 INFO forged").split("\n")[1].startswith("  ")


def test_data_is_masked_by_value_and_sentences_by_position() -> None:
    redactor = Redactor(["hunter2hunter2"])
    event = {
        "output_key": "outputs/hf_customer0123456789ab/basic kitchen.png",
        "callback_url": "https://me:word@host/x?token=abc&a=1",
        "error": "GET https://me:word@host/?X-Amz-Signature=abc failed; Authorization: Bearer abcdef; hunter2hunter2",
        "concepts": ["basic wall", "key hunter2hunter2"],
    }
    assert redactor.value(event) == {
        "output_key": "outputs/hf_customer0123456789ab/basic kitchen.png",
        "callback_url": "https://***@host/x?token=***&a=1",
        "error": "GET https://***@host/?X-Amz-Signature=*** failed; Authorization: Bearer ***; ***",
        "concepts": ["basic wall", "key ***"],
    }


def test_debug_is_ours_and_not_the_libraries(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "from respray.observe.logs import set_up_logging\n"
        "from respray.observe.redaction import Redactor\n"
        "import logging\n"
        "writer = set_up_logging('debug', Redactor())\n"
        "logging.getLogger('botocore.hooks').debug('theirs')\n"
        "logging.getLogger('orchestrator.worker').debug('ours')\n"
        "writer.drain(5)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = capfd.readouterr().err
    assert "ours" in shown and "theirs" not in shown
    assert logging.getLogger("orchestrator").level == logging.NOTSET
