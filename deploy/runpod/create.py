"""Create (or show) the Runpod template and the serverless endpoint of Respray, by Runpod's REST API v2. Standard library only.

    RUNPOD_API_KEY=... python deploy/runpod/create.py --image ghcr.io/OWNER/respray-triton:VERSION --volume ID [--env NAME=VALUE]

`template.json` and `endpoint.json` beside this file hold the values. Where they come from:

- Names and types of the fields: https://docs.runpod.io/api-reference-v2/templates/create-a-template and
  https://docs.runpod.io/api-reference-v2/serverless/create-a-serverless-endpoint. Version 1 of the API was retired in November 2026
  (https://docs.runpod.io/api-reference-v2/migrate-from-v1); Runpod's Python client has neither an execution timeout nor a least CUDA.
- No `mounts`: serverless workers have their network volume at /runpod-volume (https://docs.runpod.io/storage/network-volumes).
- `minCudaVersion`: Triton 26.07 is CUDA 13.3, which drivers of every CUDA 13 run and those of CUDA 12 do not
  (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html).
- `pools`: https://docs.runpod.io/references/gpu-types#gpu-pools (RTX 4090 class, A4000 class, A100 class).
- `timeout` in ms: a job ends after it, by default of the API after 300,000; it is LONGEST_JOB_SEC here. `idleTimeout` (s),
  `queueDelay` (s), `workers` and `flashboot`: https://docs.runpod.io/serverless/endpoints/endpoint-configurations.
- RUNPOD_INIT_TIMEOUT (s): a worker that is not ready after 7 minutes is unhealthy unless it says more
  (https://docs.runpod.io/serverless/development/optimization).
- `{{ RUNPOD_SECRET_name }}`: a reference to Runpod's own secret store, so that no value of a secret is written anywhere
  (https://docs.runpod.io/pods/templates/secrets; made at https://console.runpod.io/user/secrets).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
API = "https://api.runpod.io/v2"
MIN_TIMEOUT, MAX_TIMEOUT = 5, 7 * 24 * 3600
"""Seconds of a job: https://docs.runpod.io/serverless/endpoints/endpoint-configurations#execution-timeout."""


class DeployError(Exception):
    """What was given cannot be deployed; the message says what is accepted."""


def load(name: str) -> dict[str, Any]:
    """One of the two value files."""
    values: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return values


def template_values(image: str, env: list[str], registry: str | None = None) -> dict[str, Any]:
    """The body of POST /templates. `env` entries are NAME=VALUE and win over the file's; `registry` is the id of credentials.

    Raises:
        DeployError: an entry is no NAME=VALUE, or the image has no tag.
    """
    values = load("template")
    values["image"] = image
    if registry is not None:
        values["registry"] = registry
    for entry in env:
        name, separator, value = entry.partition("=")
        if not separator or not name.isidentifier():
            raise DeployError(f"--env {entry!r}: NAME=VALUE is accepted")
        values["env"][name] = value
    if ":" not in image.rsplit("/", 1)[-1]:
        raise DeployError(f"--image {image!r} has no tag; name a version, so that workers that start later run the same code")
    return values


def endpoint_values(volume: str | None, timeout: int | None) -> dict[str, Any]:
    """The body of POST /serverless, but for the template's id. `timeout` in seconds; None: the file's.

    Raises:
        DeployError: the timeout is none that Runpod has.
    """
    values = load("endpoint")
    if volume is not None:
        values["networkVolumes"] = [volume]
    if timeout is not None:
        if not MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
            raise DeployError(f"--execution-timeout {timeout}: {MIN_TIMEOUT} to {MAX_TIMEOUT} seconds are accepted")
        values["timeout"] = timeout * 1000
    return values


class Api:
    """Runpod's REST API."""

    def __init__(self, url: str, key: str) -> None:
        """`key` is made at https://console.runpod.io/user/settings."""
        self._url, self._key = url, key

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to one request.

        Raises:
            DeployError: it was refused, in Runpod's own words, or there is no answer.
        """
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json", "User-Agent": "respray"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/{path}", data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content: dict[str, Any] = json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise DeployError(f"Runpod refused {method} {path} ({error.code}): {_reason(error)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise DeployError(f"Runpod did not answer {method} {path}: {error}") from None
        return content


def _reason(error: urllib.error.HTTPError) -> str:
    """What an error's answer says (RFC 9457)."""
    try:
        said = json.loads(error.read())
        return "; ".join([str(said.get("detail") or said.get("title")), *map(str, said.get("errors") or [])])
    except (ValueError, AttributeError, OSError):
        return str(error.reason)


def create(api: Api, template: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, str]:
    """Both, or neither: a template whose endpoint was refused is removed, so that the next try does not meet its name.

    Raises:
        DeployError: Runpod says no.
    """
    made = str(api.ask("POST", "templates", template)["id"])
    try:
        created = api.ask("POST", "serverless", {**endpoint, "templateId": made})
    except DeployError:
        api.ask("DELETE", f"templates/{made}")
        raise
    run = created.get("requestUrls", {}).get("run") or f"https://api.runpod.ai/v2/{created['id']}/run"
    return {"template": made, "endpoint": str(created["id"]), "run": run}


def main(arguments: list[str] | None = None) -> int:
    """Create both and print their ids as JSON; 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, help="image with its tag, in a registry that Runpod can read")
    parser.add_argument("--volume", help="id of a network volume, mounted for weights and engines")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set or replace a variable")
    parser.add_argument("--registry-auth-id", help="id (not the name) of the registry credentials of a private image")
    parser.add_argument("--execution-timeout", type=int, metavar="SECONDS", help="how long a job may run; default: endpoint.json's")
    parser.add_argument("--dry-run", action="store_true", help="print what would be created")
    options = parser.parse_args(arguments)
    try:
        template = template_values(options.image, options.env, options.registry_auth_id)
        endpoint = endpoint_values(options.volume, options.execution_timeout)
        if options.dry_run:
            print(json.dumps({"template": template, "endpoint": endpoint}, indent=2))
            return 0
        key = os.environ.get("RUNPOD_API_KEY", "").strip()
        if not key:
            raise DeployError("RUNPOD_API_KEY is not set; make a key at https://console.runpod.io/user/settings")
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise DeployError("RUNPOD_API_KEY holds characters that no key has; copy it again from https://console.runpod.io/user/settings")
        print(json.dumps(create(Api(os.environ.get("RUNPOD_REST_API_URL", API), key), template, endpoint), indent=2))
    except DeployError as error:
        print(f"create.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
