"""Put a model's graphs into a private repository on the hub: where Runpod's cached models, and `respray weights fetch`, take them from."""

from __future__ import annotations

from pathlib import Path

from respray.installation import install_command
from respray.segmentation.errors import SpecError
from respray.segmentation.spec import load_spec, verify_files
from respray.weights.errors import WeightsError
from respray.weights.hub import TOKENS


def push(repository: str, graphs: Path, token: str | None, endpoint: str | None = None) -> str:
    """Upload exported graphs as `graphs/` of a private repository, which is made where there is none. One commit: a reader never sees half.

    Args:
        repository: `OWNER/NAME`.
        graphs: exported graphs, with their `spec.json`. What else lies in the repository's `graphs/` is removed.
        token: of an account that may write there.
        endpoint: another hub; None is the public one.

    Returns:
        The commit.

    Raises:
        WeightsError: there are no whole graphs, the repository is public, or the hub refuses.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        from respray.hub_errors import http_library
    except ImportError as error:
        raise WeightsError("pushing to the hub needs huggingface_hub: " + install_command("hub")) from error
    if token is None:
        raise WeightsError(f"pushing to {repository} needs HF_TOKEN, a token that may write there ({TOKENS})")
    try:
        verify_files(load_spec(graphs), graphs)
    except SpecError as error:
        raise WeightsError(f"there is nothing to push to {repository}: {error}") from error
    api = HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        if not api.model_info(repository).private:
            raise WeightsError(
                f"{repository} is public, and the graphs hold its model's weights: make it private in its settings, or name another"
            )
        done = api.upload_folder(
            repo_id=repository, folder_path=graphs, path_in_repo="graphs", delete_patterns=["*"], commit_message="Exported graphs"
        )
    except HFValidationError as error:
        raise WeightsError(f"MODEL_HUB_REPOSITORY={repository!r}: OWNER/NAME is accepted ({str(error).splitlines()[0]})") from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403, 404):
            refused = f"the hub does not let HF_TOKEN write to {repository} ({status})"
            raise WeightsError(f"{refused}: it needs write access ({TOKENS})") from error
        raise WeightsError(f"the hub answered {status or 'nothing'} for {repository}: {str(error).splitlines()[0]}") from error
    except (OSError, ValueError, RuntimeError, http_library().HTTPError) as error:  # hf_xet's own errors are RuntimeErrors
        what = ": ".join(str(part).splitlines()[0] for part in (error, error.__cause__) if str(part or "")) or type(error).__name__
        raise WeightsError(f"{repository} could not be written: {what}; push again, what has arrived is not sent twice") from error
    return str(done.oid)
