"""Uploads the folder of a student to the Hugging Face Hub or a compatible server.

The token is read from `HF_TOKEN` alone. No message repeats a request or a response, in which it
could be.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils.tqdm import disable_progress_bars

from storage.errors import TransientError, UserError
from tasks.download.hub import CONNECTION_ERRORS, URL_ERRORS, endpoint
from tasks.download.web import is_temporary

_OF_ONE_FORMAT: Final = (
    "*.safetensors",
    "training.jsonl",
    "model.bin",
    "vocabulary.json",
    "onnx/*",
)
"""The files that a student has in one format and not in another."""


def require_token() -> str:
    """The token in `HF_TOKEN`; raises `UserError` without one, and never shows it."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        raise UserError(
            "there is no token to push with; set HF_TOKEN to one that may write, from the settings"
            " of your account"
        )
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN contains characters that no token has; copy the token again")
    return token


def push_folder(folder: Path, repo: str, *, private: bool, message: str) -> str:
    """Upload a folder as one commit to the model `repo`, made if it is missing; returns its URL.

    The commit also deletes what another format left there, so that all weights are of one student.
    Raises `UserError` without a token that may write, for a name that is not valid, and for a
    repository that exists and is public although `private` is asked for, or the other way round;
    `TransientError` if the Hub cannot be reached.
    """
    api = HfApi(endpoint=endpoint(), token=require_token())
    disable_progress_bars()
    with _explained(repo):
        api.create_repo(repo, private=private, exist_ok=True)
        is_private = api.model_info(repo).private
        if private and not is_private:
            raise UserError(
                f"{repo} exists at {endpoint()} and is public; name another, or push with --public"
            )
        if is_private and not private:
            raise UserError(
                f"{repo} at {endpoint()} is private; make it public in its settings there, name"
                " another, or push without --public"
            )
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message=message,
            delete_patterns=list(_OF_ONE_FORMAT),
        )
    return str(done.commit_url)


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Convert errors of the library, whose messages have several lines, to one-line errors."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it") from error
    except HFValidationError as error:
        raise UserError(f"{repo!r} is not a valid model name; expected owner/name") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        found = f"{endpoint()} returned {status} for {repo}"
        if is_temporary(status):
            raise TransientError(f"{found}; try again later") from error
        raise UserError(
            f"{found}; check the name, and that the token in HF_TOKEN may write there"
        ) from error
    except URL_ERRORS as error:
        raise UserError(f"{endpoint()} is not a valid address; check HF_ENDPOINT") from error
    except CONNECTION_ERRORS as error:
        raise TransientError(
            f"{endpoint()} cannot be reached for {repo} ({type(error).__name__}); check the"
            " network and HF_ENDPOINT"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{endpoint()} does not respond like the Hub for {repo}, or refuses the metadata in"
            " README.md; check HF_ENDPOINT"
        ) from error
