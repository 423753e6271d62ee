"""Which model a running Triton serves, as far as its configuration says: for REQUIRE_REAL_MODEL where TRITON_URL names a server.

`respray build` writes into the applier's configuration where the masks of objects come from, and that tells the demo model (`region`)
from a real one (`instances`). Another repository may not say it; then nothing is known, and nothing is refused.
"""

from __future__ import annotations

import asyncio
import logging

import grpc
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from orchestrator.errors import PipelineUnavailable, SettingsError
from respray.contract import parameters
from respray.triton.client import CHANNEL_OPTIONS

log = logging.getLogger(__name__)

MODEL = "applier"
SECONDS = 10.0
# A server of somebody's own behind the same pipeline: it has no such model, or no such question.
_NOT_SAID = ("StatusCode.UNIMPLEMENTED", "StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT")


async def serves_demo(url: str) -> bool | None:
    """Whether the server at `host:port` serves the demo model; None where its configuration does not say. Raises PipelineUnavailable."""
    try:
        connection = InferenceServerClient(url, channel_args=list(CHANNEL_OPTIONS.items()))
        async with asyncio.timeout(SECONDS), connection as client:
            answer = await client.get_model_config(MODEL, client_timeout=SECONDS)
    except (InferenceServerException, grpc.RpcError, TimeoutError) as error:
        if isinstance(error, InferenceServerException) and str(error.status()) in _NOT_SAID:
            return None
        raise PipelineUnavailable(f"Triton at {url} does not say which model it serves: {error}") from None
    given = {name: parameter.string_value for name, parameter in answer.config.parameters.items()}
    source = given.get(parameters.OBJECTS)
    return None if source is None else source == "region"


async def refuse_served_demo(url: str) -> None:
    """Raise SettingsError, with the way to the real model, where the server at `url` serves the demo."""
    demo = await serves_demo(url)
    if demo is None:
        log.warning("Triton at %s does not say which model it serves, so REQUIRE_REAL_MODEL cannot be checked", url)
        return
    if demo:
        raise SettingsError(
            f"TRITON_URL={url} serves the demo model and REQUIRE_REAL_MODEL is on. Serve the real one: request access at "
            "https://huggingface.co/facebook/sam3, and start the server with HF_TOKEN and MODEL_NAME=sam3. To try the demo anyway: "
            "REQUIRE_REAL_MODEL=false."
        )
