"""What a request and the network's answer are as tensors. Without pixel code, which `pipeline_bls` need not load."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from respray.contract.request import PhotoRequest
from respray.triton.errors import PhotoError

Arrays = dict[str, npt.NDArray[np.generic]]


def parse_request(data: bytes) -> PhotoRequest:
    """The request from its JSON. PhotoError with the first thing that is wrong with it."""
    try:
        return PhotoRequest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise PhotoError(f"The request is not a valid PhotoRequest ({where}: {first['msg']}).") from error
