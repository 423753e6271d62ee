"""Bring a checkpoint from the Hugging Face hub to the volume. The hub's own client resumes; this adds checksums and plain errors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from respray.installation import install_command
from respray.weights.errors import GatedModelError, WeightsError
from respray.weights.manifest import sha256_of
from respray.weights.model_presets import Weights
from respray.weights.volume_errors import REFUSALS

HUB = "https://huggingface.co"
TOKENS = f"{HUB}/settings/tokens"


def download(weights: Weights, folder: Path, token: str | None, endpoint: str | None = None) -> str:
    """Fetch the files of `weights` into `folder` and verify each.

    Args:
        weights: the repository, its revision and the files wanted.
        folder: where they go; what lies there from an earlier start is not fetched again.
        token: of an account that may read the repository; None asks without one.
        endpoint: another hub (a mirror); None is the public one.

    Returns:
        The commit that `revision` stood for.

    Raises:
        GatedModelError: access has to be requested.
        WeightsError: it could not be fetched, or arrived damaged.
    """
    try:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

        from respray.hub_errors import http_library
    except ImportError as error:
        raise WeightsError("downloading from the hub needs huggingface_hub: " + install_command("hub")) from error
    http = http_library()
    repository = weights.repository
    if repository is None:
        raise WeightsError("this model has no `weights.repository` in model_presets.yaml")
    try:
        info = HfApi(endpoint=endpoint, token=token or False).model_info(repository, revision=weights.revision, files_metadata=True)
        snapshot_download(
            repository,
            revision=info.sha,
            local_dir=folder,
            allow_patterns=weights.patterns,
            token=token or False,
            endpoint=endpoint,
            max_workers=8,
        )
    except GatedRepoError as error:
        raise _gated(repository, token, said=error.server_message) from error
    except RevisionNotFoundError as error:
        raise WeightsError(f"{repository} has no revision {weights.revision!r}; correct weights.revision in model_presets.yaml") from error
    except RepositoryNotFoundError as error:  # the hub answers 401 or 404 alike for "absent" and "not yours to see"
        raise (_gated(repository, token) if weights.gated else _unknown(repository, token)) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status == 401 and token:  # the client takes every other 401 for a repository that may not be seen
            raise WeightsError(
                f"the hub does not know HF_TOKEN: it is mistyped, revoked or expired; make a read token at {TOKENS}, and set HF_TOKEN to it"
            ) from error
        if status in (401, 403):
            raise (_gated(repository, token) if weights.gated else _unknown(repository, token)) from error
        raise WeightsError(f"the hub answered {status or 'nothing'} for {repository}: {str(error).splitlines()[0]}") from error
    except (OSError, http.HTTPError, RuntimeError) as error:
        # hf_xet makes a full disk a RuntimeError.
        if isinstance(error, OSError) and error.errno in REFUSALS:
            raise  # the volume's own: explained by who called
        what = str(error) or type(error).__name__
        if isinstance(error, http.ConnectError | http.ProxyError | http.ConnectTimeout):
            raise WeightsError(f"{repository} could not be downloaded: {_unreachable(endpoint or HUB, what)}") from error
        raise WeightsError(f"{repository} could not be downloaded: {what}; start again, it goes on where it stopped") from error
    _verify(info.siblings or [], folder)
    return str(info.sha)


def _unreachable(hub: str, what: str) -> str:
    """Why no connection came about, and what leads to one."""
    if "CERTIFICATE_VERIFY_FAILED" in what:
        return f"{hub} shows a certificate of an authority that is not known here ({what}); name your company's own in SSL_CERT_FILE"
    proxies = [f"{scheme.upper()}_PROXY" for scheme in ("https", "all") if getproxies().get(scheme)]
    through = f" by {' or '.join(proxies)}" if proxies else ""
    return (
        f"{hub} cannot be reached{through} ({what}). Let this machine reach it (HTTPS_PROXY where a proxy leads out), "
        "or fetch from a private bucket (MODEL_SYNC_ENABLED=true and MODEL_SYNC_*)"
    )


def _gated(repository: str, token: str | None, said: str | None = None) -> GatedModelError:
    given = "HF_TOKEN is set, and its account has not been granted access" if token else "HF_TOKEN is not set"
    if token and said and "fine-grained" in said:
        given = f"HF_TOKEN is fine-grained without the right to gated repositories ({said.strip().splitlines()[0]})"
    return GatedModelError(
        f"{repository} is gated, and the hub refused the download: {given}. Request access at https://huggingface.co/{repository} "
        f"(approval takes from hours to weeks), make a read token at {TOKENS}, and set HF_TOKEN to it"
    )


def _unknown(repository: str, token: str | None) -> WeightsError:
    given = "HF_TOKEN may not read it" if token else "it is private, and HF_TOKEN is not set"
    return WeightsError(f"there is no repository {repository} on the hub, or {given}")


def _verify(siblings: list[Any], folder: Path) -> None:
    """Compare each file with the hub's own hash: SHA-256 of large files, the git blob id of small ones."""
    for sibling in siblings:
        path = folder / sibling.rfilename
        if not path.is_file():
            continue  # not among the patterns
        if sibling.lfs is not None:
            right, actual = sibling.lfs.sha256, sha256_of(path)
        else:
            content = path.read_bytes()
            right, actual = sibling.blob_id, hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if right and right != actual:
            path.unlink()
            raise WeightsError(
                f"{sibling.rfilename} arrived damaged ({actual[:12]}..., {right[:12]}... is right) and was removed; start again"
            )
