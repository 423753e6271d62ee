"""What both launchers of Triton keep from it: secrets in its environment, and interfaces that only its owner needs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping

from respray.volumes import models_root

GRPC_KEY = "triton-grpc-protocol-respray-key"
"""The header that carries the key over gRPC."""
# Everything but inference and health answers only to a key that is made at the start and given to no one else ...
RESTRICTED = "metadata,statistics,model-config,shared-memory,model-repository,trace,logging"
# ... but for those that perf_analyzer, `respray bench` and `respray top` read.
RESTRICTED_BENCHMARK = "shared-memory,model-repository,trace,logging"
# Triton and its Python models decode strangers' pictures. They need to find their libraries, the GPU and the weights, and no partner.
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TERM|XDG_CACHE_HOME|VIRTUAL_ENV|GCONV_PATH|LD_LIBRARY_PATH|LD_PRELOAD"
    r"|PYTHON\w*|MALLOC_\w+|MIMALLOC_\w+|GLIBC_TUNABLES|OMP_\w+|OPENBLAS_\w+|MKL_\w+|NUMBA_\w+|OPENCV_\w+|TOKENIZERS_PARALLELISM"
    r"|CUDA_\w+|CUDNN_\w+|NVIDIA_\w+|NCCL_\w+|TRT_VERSION|TRITON_\w+|RESPRAY_THREADS|TRITONSERVER_\w+|ORT_\w+|MODEL_NAME"
)
_SECRET = re.compile(r"(SECRET|TOKEN|PASSWORD|CREDENTIAL|(ACCESS|API|PRIVATE)_?KEY)(_|$)")


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of tritonserver and its Python models: an allow-list, so that a secret of any name stays behind, and MODEL_PATH.

    Where the models are follows from more than is handed on (Runpod's marks), so that they are told it.
    """
    inherited = {name: value for name, value in environment.items() if _ALLOWED.fullmatch(name) and not _SECRET.search(name)}
    return inherited | {"MODEL_PATH": str(models_root(environment))}


def new_key() -> str:
    """The key of one start."""
    return secrets.token_urlsafe(32)


def restriction_flags(apis: str, key: str) -> dict[str, object]:
    """tritonserver's flags by name: `apis` answer only to `key`, which nobody has but the gate that loads the pipeline."""
    closed = f"{apis}:respray-key={key}"
    return {"grpc-restricted-protocol": closed, "http-restricted-api": closed}
