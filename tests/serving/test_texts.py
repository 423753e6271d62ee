"""What a pipeline instance remembers of texts."""

from __future__ import annotations

import numpy as np

from serving.texts import TextMemory


def ids(word: int) -> np.ndarray:
    return np.full((1, 4), word, np.int32)


def test_a_known_prompt_is_not_encoded_again() -> None:
    asked: list[int] = []

    def encode(word: int) -> np.ndarray:
        asked.append(word)
        return np.full((4, 2), word, np.float32)

    memory = TextMemory()
    for word in (1, 2, 1, 1):
        assert (memory.get(ids(word), lambda word=word: encode(word)) == word).all()  # type: ignore[misc]
    assert asked == [1, 2]


def test_the_prompt_that_was_not_asked_for_longest_is_forgotten() -> None:
    memory = TextMemory(kept=2)
    counts = {1: 0, 2: 0, 3: 0}

    def ask(word: int) -> None:
        def encode() -> np.ndarray:
            counts[word] += 1
            return np.zeros((4, 2), np.float32)

        memory.get(ids(word), encode)

    for word in (1, 2, 1, 3, 1, 2):
        ask(word)
    assert counts == {1: 1, 2: 2, 3: 1}


def test_what_is_kept_does_not_change_with_the_answer_it_came_from() -> None:
    memory, answer = TextMemory(), np.ones((4, 2), np.float32)
    memory.get(ids(1), lambda: answer)
    answer[:] = 7
    assert (memory.get(ids(1), lambda: answer) == 1).all()
