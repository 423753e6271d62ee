"""Names and authorities of real senders: joiners in keys, a company's own certificates."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import certifi
import pytest

from orchestrator.errors import JobError, SettingsError
from orchestrator.jobs.keys import key_problem
from orchestrator.jobs.name_catalog import load_catalog
from orchestrator.jobs.parser import parse_job
from orchestrator.net.address_policy import trust
from orchestrator.settings import load_settings
from tests.faults.receiver import Receiver
from tests.orchestrator.support import TinyPipeline, palette_job, put_photos, rule_job, tiny_worker


def test_brackets_in_a_callback_s_query_are_kept_as_they_were_sent(tmp_path: Path, receiver: Receiver) -> None:
    """As PHP and Rails write lists. The real receiver checks the signature, too."""
    put_photos(tmp_path, "job_1", 1)
    path = "/jobs/job_1/callback?items[]=1&items[]=2&sorted[by]=a%5Bb%5D+c"

    async def work() -> None:
        async with tiny_worker(tmp_path, TinyPipeline(), allow=receiver.host) as worker:
            await worker.start(palette_job(count=1, callback_url=receiver.url + path)).finished()

    asyncio.run(work())
    assert [(call.path, call.problem) for call in receiver.calls] == [(path, None)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://h[]/a", ""),
        ("https://h/a b?c[]=1", "percent-encode them"),
        ("https://h/?c[]=%zz", "hex digits"),
        ("ftp://h/?c[]=1", "scheme"),
        ("https://h/?a[]={x}\n", "percent-encode them"),
        ("https://h/?a=b|c", "percent-encode them"),
        (" https://h/", "percent-encode them"),
    ],
)
def test_brackets_forgive_nothing_else(url: str, said: str) -> None:
    with pytest.raises(JobError, match=rf"callback_url.*{said}"):
        parse_job(palette_job(count=1, callback_url=url), load_catalog())


@pytest.mark.parametrize(
    "name",
    [
        "عکس\u200cها.png",
        "👩\u200d🎨.png",
        "हिन्दी\u200d.png",
        "\u200eIMG_1.png",
        "صورة\u200f.png",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.png",
        "Wohn\u00adzimmer.png",
        "a\u2060b.png",
        "❤\ufe0f.png",
    ],
)
def test_format_characters_of_orthography_and_emoji_are_no_control_characters(name: str) -> None:
    assert key_problem(f"inputs/u/j/{name}", "inputs/u/j/") is None


@pytest.mark.parametrize("name", ["نیم\u200cکت", "👩\u200d🎨", "\u200fحائط", "Teppich\u00adboden", "Frame\u00a0Molding"])
def test_concepts_may_have_them_too(name: str) -> None:
    edit = {"action": "recolor", "value": "#AABBCC"}
    rule = {"ruleId": "r1", "concept": name, "type": "recolor", "params": {"color": "#FF5733"}}
    mask = {
        "idx": 0,
        "input_key": "inputs/u_abc/job_1/0.jpg",
        "output_key": "outputs/u_abc/job_1/0.png",
        "mask_keys": {name: "inputs/u_abc/job_1/m.png"},
    }
    for message in (
        palette_job(concepts={name: edit}, items=[mask]),
        palette_job(protect=[name]),
        palette_job(concepts=None, looks=[{"name": "calm", "concepts": {name: edit}}]),
        rule_job(concepts=[name], rules=[rule]),
    ):
        parse_job(message, load_catalog())
    for character in ("\n", "\u202e", "\u200b"):
        with pytest.raises(JobError, match="contains control characters"):
            parse_job(palette_job(protect=[name + character]), load_catalog())


@pytest.mark.parametrize("character", ["\n", "\x1b", "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028"])
def test_other_format_and_control_characters_are_refused_still(character: str) -> None:
    assert key_problem(f"inputs/u/j/a{character}.png", "inputs/u/j/") is not None


def test_a_companys_own_authority_is_trusted_beside_the_public_ones(tmp_path: Path) -> None:
    assert trust(None) is trust(None)  # read once for all clients
    own = tmp_path / "ca.pem"
    own.write_text(Path(certifi.where()).read_text(encoding="utf-8"), encoding="utf-8")
    context = trust(own)
    assert isinstance(context, ssl.SSLContext) and context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    for bad in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        (tmp_path / "empty.pem").write_text("no certificate", encoding="utf-8")
        with pytest.raises(SettingsError, match="CALLBACK_CA_FILE"):
            trust(bad)


def test_the_settings_name_its_file() -> None:
    settings = load_settings({"CALLBACK_CA_FILE": "/etc/company.pem", "SSL_CERT_FILE": "/etc/all.pem"}, env_file=None)
    assert settings.callback_ca_file == Path("/etc/company.pem") and settings.ssl_cert_file == Path("/etc/all.pem")
