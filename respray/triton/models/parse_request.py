"""A request from the bytes of its tensor. Without pixel code, which `pipeline_bls` need not load."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from respray.contract.request import PhotoRequest
from respray.contract.sentences import sentences_of
from respray.triton.errors import PhotoError

Arrays = dict[str, npt.NDArray[np.generic]]


def parse_request(data: bytes) -> PhotoRequest:
    """The request from its JSON.

    Raises:
        PhotoError: with what is wrong with it.
    """
    try:
        return PhotoRequest.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(sentences_of(error.errors(), PhotoRequest, whole="the whole"))
        raise PhotoError(f"The request is not a valid PhotoRequest ({problems}).") from error
