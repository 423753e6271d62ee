"""What a pipeline instance remembers of texts."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from respray.imaging.arrays import FloatArray, IntArray
from respray.triton.models.text_feature_cache import TextFeatureCache


def ids(word: int) -> IntArray:
    return np.full((1, 4), word, np.int32)


def test_a_known_prompt_is_not_encoded_again() -> None:
    asked: list[int] = []

    def encode(word: int) -> FloatArray:
        asked.append(word)
        return np.full((4, 2), word, np.float32)

    cache = TextFeatureCache()
    for word in (1, 2, 1, 1):
        assert (cache.get(ids(word), lambda word=word: encode(word)) == word).all()  # type: ignore[misc]
    assert asked == [1, 2]


def test_the_prompt_that_was_not_asked_for_longest_is_forgotten() -> None:
    cache = TextFeatureCache(max_prompts=2)
    counts = {1: 0, 2: 0, 3: 0}

    def ask(word: int) -> None:
        def encode() -> FloatArray:
            counts[word] += 1
            return np.zeros((4, 2), np.float32)

        cache.get(ids(word), encode)

    for word in (1, 2, 1, 3, 1, 2):
        ask(word)
    assert counts == {1: 1, 2: 2, 3: 1}


def test_what_is_kept_does_not_change_with_the_answer_it_came_from() -> None:
    cache, answer = TextFeatureCache(), np.ones((4, 2), np.float32)
    cache.get(ids(1), lambda: answer)
    answer[:] = 7
    assert (cache.get(ids(1), lambda: answer) == 1).all()


def ask_as_an_instance(folder: Path, instances: int, word: int) -> None:
    """What a pipeline instance does, with a file for Triton's cache: it knows an answer that is there and joins none that is under way."""
    cached = folder / f"answer-{word}"

    def encode() -> FloatArray:
        if not cached.exists():
            with (folder / f"encodings-{word}").open("a") as log:
                log.write("x")
            time.sleep(0.2)
            cached.touch()
        return np.zeros((4, 2), np.float32)

    cache = TextFeatureCache()
    (folder / f"started-{word}-{multiprocessing.current_process().pid}").touch()
    while len(list(folder.glob(f"started-{word}-*"))) < instances:
        time.sleep(0.001)
    cache.get(ids(word), encode)


def test_instances_that_meet_a_prompt_together_have_it_encoded_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    instances = [context.Process(target=ask_as_an_instance, args=(tmp_path, 3, 1)) for _ in range(3)]
    for process in instances:
        process.start()
    for process in instances:
        process.join()
    assert [process.exitcode for process in instances] == [0, 0, 0]
    assert (tmp_path / "encodings-1").read_text() == "x"


def test_an_encoding_that_fails_lets_the_next_one_try() -> None:
    cache = TextFeatureCache()

    def fail() -> FloatArray:
        raise RuntimeError("no server")

    with pytest.raises(RuntimeError, match="no server"):
        cache.get(ids(1), fail)
    assert (cache.get(ids(1), lambda: np.ones((4, 2), np.float32)) == 1).all()
