"""Create (or show) the Runpod template and the serverless endpoint of Respray, through Runpod's own client.

    RUNPOD_API_KEY=... python deploy/runpod/create.py --image ghcr.io/OWNER/respray-triton:VERSION --volume ID [--env NAME=VALUE]

Where the values come from: volumes are at /runpod-volume in serverless workers, and `volume_in_gb` is 0 for their templates
(https://docs.runpod.io/storage/network-volumes, https://docs.runpod.io/sdks/graphql/manage-pod-templates); a worker that is not ready after
7 minutes is unhealthy unless RUNPOD_INIT_TIMEOUT says more, and a job ends after 600 s unless the endpoint says more
(https://docs.runpod.io/serverless/endpoints/endpoint-configurations); Triton 26.07 is CUDA 13.3, which drivers of every CUDA 13 run
(https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html) and those of CUDA 12 do not.

`template.json` and `endpoint.json` beside this file hold the values. Secrets in the template are references to Runpod's own secret
store (`{{ RUNPOD_SECRET_name }}`, made at https://www.runpod.io/console/user/secrets), so that no value of theirs is written anywhere.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
# The client writes values into its GraphQL text unescaped.
_UNSAFE = ('"', "\\", "\n")
# https://docs.runpod.io/api-reference/endpoints/PATCH/endpoints/endpointId; the client and its GraphQL have no execution timeout.
REST = "https://rest.runpod.io/v1"
# Seconds; the worker's own LONGEST_JOB_SEC.
LONGEST_JOB = 1800


class DeployError(Exception):
    """What was given cannot be deployed; the message says what is accepted."""


def load(name: str) -> dict[str, Any]:
    """One of the two value files."""
    values: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return values


def template_values(image: str, env: list[str], registry_auth: str | None = None) -> dict[str, Any]:
    """Arguments for the client's create_template. `env` entries are NAME=VALUE and win over the file's."""
    values = load("template")
    values["image_name"] = image
    if registry_auth is not None:
        values["registry_auth_id"] = registry_auth
    for entry in env:
        name, separator, value = entry.partition("=")
        if not separator or not name.isidentifier():
            raise DeployError(f"--env {entry!r}: NAME=VALUE is accepted")
        values["env"][name] = value
    for name, value in [("--image", image), *values["env"].items()]:
        if any(character in value for character in _UNSAFE):
            raise DeployError(
                f"{name} contains a quote, a backslash or a line break, which Runpod's client cannot send; use a Runpod secret"
            )
    if ":" not in image.rsplit("/", 1)[-1]:
        raise DeployError(f"--image {image!r} has no tag; name a version, so that workers that start later run the same code")
    return values


def endpoint_values(template_id: str, volume: str | None) -> dict[str, Any]:
    """Arguments for the client's create_endpoint."""
    values = {**load("endpoint"), "template_id": template_id, "network_volume_id": volume}
    if not 0 <= values["workers_min"] <= values["workers_max"]:
        raise DeployError(f"workers_min {values['workers_min']} and workers_max {values['workers_max']}: 0 <= min <= max is accepted")
    return values


def set_execution_timeout(endpoint: str, seconds: int, key: str, rest: str) -> None:
    """Let jobs of an endpoint run for so many seconds; the API counts milliseconds.

    Raises:
        DeployError: it was refused; the endpoint exists already and keeps Runpod's 600 s.
    """
    body = json.dumps({"executionTimeoutMs": seconds * 1000}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{rest}/endpoints/{endpoint}", data=body, headers=headers, method="PATCH")
    try:
        with urllib.request.urlopen(request, timeout=30):
            pass
    except (urllib.error.URLError, OSError) as error:
        raise DeployError(
            f"endpoint {endpoint} was created, but its execution timeout could not be set ({error}): jobs end after 600 s; "
            f"set it to {seconds} s in the console under Manage, Edit Endpoint"
        ) from error


def check_against_client(function: Any, values: dict[str, Any]) -> None:
    """Refuse values that the installed client does not know: it would answer with a TypeError after half the work is done."""
    unknown = sorted(set(values) - set(inspect.signature(function).parameters))
    if unknown:
        raise DeployError(
            f"runpod's {function.__name__} has no {', '.join(unknown)}; it has {', '.join(inspect.signature(function).parameters)}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Create both and print their ids as JSON; 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, help="image with its tag, in a registry that Runpod can read")
    parser.add_argument("--volume", help="id of a network volume, mounted for weights and engines")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set or replace a variable")
    parser.add_argument("--registry-auth-id", help="id (not the name) of the registry credentials of a private image")
    parser.add_argument("--execution-timeout", type=int, default=LONGEST_JOB, metavar="SECONDS", help="how long a job may run")
    parser.add_argument("--dry-run", action="store_true", help="print what would be created")
    options = parser.parse_args(arguments)
    try:
        template = template_values(options.image, options.env, options.registry_auth_id)
        endpoint = endpoint_values("TEMPLATE", options.volume)
        import runpod

        check_against_client(runpod.create_template, template)
        check_against_client(runpod.create_endpoint, endpoint)
        if options.dry_run:
            print(json.dumps({"template": template, "endpoint": endpoint, "execution_timeout_s": options.execution_timeout}, indent=2))
            return 0
        if not os.environ.get("RUNPOD_API_KEY"):
            raise DeployError("RUNPOD_API_KEY is not set; make a key at https://www.runpod.io/console/user/settings")
        runpod.api_key = os.environ["RUNPOD_API_KEY"]
        made = runpod.create_template(**template)
        created = runpod.create_endpoint(**{**endpoint, "template_id": made["id"]})
        rest = os.environ.get("RUNPOD_REST_API_URL", REST)
        set_execution_timeout(created["id"], options.execution_timeout, runpod.api_key, rest)
    except ImportError:
        print("the runpod package is missing: pip install 'respray[intake]'", file=sys.stderr)
        return 1
    except Exception as error:  # the client raises its own, requests' and KeyErrors alike
        print(f"create.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"template": made["id"], "endpoint": created["id"], "run": f"https://api.runpod.ai/v2/{created['id']}/run"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
