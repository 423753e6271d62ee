"""The worker's own sentences on the Korean page: every warning of an edit, and what is wrong with a photo."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

import respray
from respray.triton.models.pipeline import BOXES_IGNORED
from tools.studio.browser import Browser

pytestmark = pytest.mark.server
SOURCES = Path(respray.__file__).parent
SAID = SOURCES.parent / "orchestrator" / "api" / "studio" / "static" / "texts" / "said" / "ko.json"
SAY = """
const [sentences, done] = arguments;
import("/studio/js/texts.js").then(({ said }) => done(sentences.map(said)));
"""
PLACES = {"place": ("nothing that was asked for", "'Ceiling'", "'Ceiling', which is protected,")}
PARTS = {
    "what": ("noise", "noise and compression"),
    "better": ("", ", or one saved at a higher quality,"),
    "why": ("its mask was sent", "it is everything but other concepts"),
    "' and '.join(done)": ("2 filled in", "1 left out", "2 filled in and 1 left out"),
    **PLACES,
}
"""What stands in a sentence where that is more than a number or a name, by its expression."""


def warnings_of(file: Path) -> Iterator[list[str]]:
    """Each sentence that a module adds to `warnings`, as it may be told."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append"):
            continue
        if "warnings" in ast.unparse(node.func.value) and isinstance(node.args[0], ast.JoinedStr | ast.Constant):
            yield list(told(node.args[0]))


def told(sentence: ast.expr) -> Iterator[str]:
    values = sentence.values if isinstance(sentence, ast.JoinedStr) else [sentence]
    names = [ast.unparse(value.value) for value in values if isinstance(value, ast.FormattedValue)]
    count = max((len(PARTS[name]) for name in names if name in PARTS), default=1)
    for number in range(count):
        yield "".join(
            str(value.value) if isinstance(value, ast.Constant) else PARTS.get(ast.unparse(value.value), ("7",) * count)[number]
            for value in values
            if isinstance(value, ast.Constant | ast.FormattedValue)
        )


def test_every_sentence_is_korean_on_the_korean_page(browser: Browser) -> None:
    warnings = [told for file in sorted((SOURCES / "editing").rglob("*.py")) for each in warnings_of(file) for told in each]
    assert len(warnings) > 20
    others = [
        BOXES_IGNORED.format("'Sofa'"),
        "nothing found for 'Wall'",
        "nothing found for 'Wall' (its mask selects nothing: it is black or transparent everywhere)",
        "the key that was sent is not known; accepted is 'Authorization: Bearer KEY' with a key of this server",
        "the image has 12000 x 9000 pixels (108.0 megapixels); at most 67.1089 megapixels are accepted",
        "the body has more than the 155.3 MB that are accepted here, of which a photo may have 134.2 MB",
        "the JPEG data is truncated or corrupt (image file is truncated (5 bytes not processed)); the whole file is needed",
    ]
    browser.one(".language select").send_keys("한")
    browser.until("Korean", lambda: browser.driver.find_element(By.TAG_NAME, "html").get_attribute("lang") == "ko")
    said: list[str] = browser.driver.execute_async_script(SAY, [*warnings, *others, "what nobody has translated"])
    assert said[-1] == "what nobody has translated"
    assert [text for text in said[:-1] if not re.search("[가-힣]", text) or re.search(r"[{}]|nothing|mask", text)] == []
    browser.expected.append("422")
    browser.drop("a.jpg", b"no photo")
    browser.until("a word", lambda: "읽을 수 있는 사진 파일이 아닙니다" in browser.text(".alerts"))


def test_a_translation_fills_in_what_the_sentence_says() -> None:
    names = re.compile(r"\{(\w+)\}")
    for english, korean in json.loads(SAID.read_text(encoding="utf-8")).items():
        assert set(names.findall(korean)) <= set(names.findall(english)), english
        assert len(set(names.findall(english))) == len(names.findall(english)), english
