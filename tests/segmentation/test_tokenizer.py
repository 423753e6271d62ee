"""Any text becomes ids of the model's length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from respray.segmentation.errors import SpecError
from respray.segmentation.tokenizer import PromptTokenizer
from tests.segmentation.conftest import GRAPHS

LENGTH = 32
TOKENIZER = PromptTokenizer(GRAPHS / "tokenizer.json", LENGTH, 0)
ODD = ["", " ", "🙂👩‍👩‍👧", "x" * 10_000, "floor " * 5_000, "\x00\x01", "пол", "床", "\ud800", "<|endoftext|>", "Floor\n\tand\u00a0wall"]


@pytest.mark.parametrize("prompt", ODD, ids=range(len(ODD)))
def test_odd_prompts_have_the_right_shape_and_an_end(prompt: str) -> None:
    ids, mask = TOKENIZER([prompt])
    assert ids.shape == mask.shape == (1, LENGTH) and ids.dtype == mask.dtype == np.int32
    used = int(mask.sum())
    assert 2 <= used <= LENGTH and (mask[0, :used] == 1).all() and (mask[0, used:] == 0).all()
    plain = TOKENIZER(["floor"])
    start, end = plain[0][0, 0], plain[0][0, plain[1].sum() - 1]
    assert ids[0, 0] == start and ids[0, used - 1] == end, "truncation must keep the end-of-text token"


@given(st.lists(st.text(max_size=200), min_size=1, max_size=4))
def test_any_text_gives_ids_of_the_vocabulary(prompts: list[str]) -> None:
    ids, mask = TOKENIZER(prompts)
    assert ids.shape == (len(prompts), LENGTH) and (ids >= 0).all() and (ids < 1024).all() and set(np.unique(mask)) <= {0, 1}


def test_no_prompts_give_empty_arrays() -> None:
    ids, mask = TOKENIZER([])
    assert ids.shape == mask.shape == (0, LENGTH)


def test_case_and_the_other_prompts_of_a_call_do_not_matter() -> None:
    together, alone = TOKENIZER(["Floor", "a very long prompt with many words"]), TOKENIZER(["floor"])
    assert (together[0][0] == alone[0][0]).all()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(SpecError, match=r"tokenizer\.json is not a tokenizer"):
        PromptTokenizer(broken, LENGTH, 0)
