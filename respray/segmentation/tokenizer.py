"""Concept prompts to the token ids of the text encoder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from respray.segmentation.arrays import Int32Array
from respray.segmentation.errors import SpecError
from respray.segmentation.spec import ModelSpec


class PromptTokenizer:
    """The model's own tokenizer (`tokenizer.json`), padded and truncated to the text encoder's length.

    Truncation keeps the end-of-text token, so a prompt of any length is valid.
    """

    def __init__(self, path: Path, length: int, pad_id: int) -> None:
        """Load `path`. Raises `SpecError` where it is not a tokenizer file."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise SpecError(f"{path} is not a tokenizer.json of the tokenizers library ({error})") from error
        self._tokenizer.enable_truncation(max_length=length)
        self._tokenizer.enable_padding(length=length, pad_id=pad_id, pad_token=self._tokenizer.id_to_token(pad_id) or "[PAD]")
        self.length = length

    @classmethod
    def from_spec(cls, spec: ModelSpec, folder: Path) -> "PromptTokenizer":
        """The tokenizer that lies beside a spec's graphs."""
        return cls(folder / spec.tokenizer.file, spec.text_length, spec.pad_id)

    def __call__(self, prompts: Sequence[str]) -> tuple[Int32Array, Int32Array]:
        """Tokenise `prompts`.

        Returns:
            `input_ids` and `attention_mask` (1 = token, 0 = padding), both int32 [len(prompts), length].
        """
        # Lone surrogates can arrive from JSON and are no text.
        clean = [prompt.encode("utf-8", "replace").decode("utf-8") for prompt in prompts]
        encodings = self._tokenizer.encode_batch(clean)
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int32).reshape(-1, self.length)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int32).reshape(-1, self.length)
        return ids, mask
