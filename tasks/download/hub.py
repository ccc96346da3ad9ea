"""Lists the files of a data set on the Hugging Face Hub or a compatible server."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, NoReturn

import httpx
import httpx2
from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from storage.errors import TransientError, UserError
from tasks.download.fetch import Digest
from tasks.download.web import is_temporary

_TIMEOUT_S: Final = 60.0
_DATASET: Final = "dataset"

# huggingface_hub 1 sends its requests through httpx, huggingface_hub 2 through httpx2
CONNECTION_ERRORS: Final = (httpx.HTTPError, httpx2.HTTPError)
"""What the library raises where the Hub cannot be reached."""

URL_ERRORS: Final = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
"""What it raises for an address that is none."""


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a data set; `path` is relative to the repository."""

    path: str
    size_bytes: int
    digest: Digest


@dataclass(frozen=True, kw_only=True)
class HubListing:
    """Files of a data set at one commit, in order of path."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]


def list_files(repo: str, revision: str, gated: bool, patterns: Collection[str]) -> HubListing:
    """The files of the data set `repo` that match one of the patterns (`fnmatch`).

    Verifies access to a gated data set. Raises `UserError` if it does not exist or access is
    denied, `TransientError` for temporary faults.
    """
    authorization = auth_headers()
    if gated and not authorization:
        _refuse_gated(repo)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # the library reads the environment at import only
    api = HfApi(endpoint=endpoint(), token=get_token() or False, library_name="distillery")
    with _explained(repo, revision):
        about = api.dataset_info(repo, revision=revision, timeout=_TIMEOUT_S)
        if about.gated and not authorization:
            _refuse_gated(repo)
        commit = about.sha or revision
        tree = api.list_repo_tree(repo, recursive=True, revision=commit, repo_type=_DATASET)
        found = [
            HubFile(path=entry.path, size_bytes=entry.size, digest=_digest(entry))
            for entry in tree
            if isinstance(entry, RepoFile)
            and any(fnmatchcase(entry.path, pattern) for pattern in patterns)
        ]
        if found and (gated or about.gated):  # listing a gated set is public, its files are not
            api.get_hf_file_metadata(url=file_url(repo, commit, found[0].path))
    files = tuple(sorted(found, key=lambda file: file.path))
    return HubListing(repo=repo, commit=commit, files=files)


def file_url(repo: str, commit: str, path: str) -> str:
    """The download URL of a file of a data set."""
    return hf_hub_url(repo, path, repo_type=_DATASET, revision=commit, endpoint=endpoint())


def auth_headers() -> dict[str, str]:
    """Headers with the token from `HF_TOKEN` or `hf auth login`; empty if there is none.

    Raises `UserError` for a malformed token, without revealing it.
    """
    token = get_token()
    if token is None:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN contains characters that no token has; copy the token again")
    return {"Authorization": f"Bearer {token}"}


def endpoint() -> str:
    """The address of the Hub.

    Read from the environment on each call; the library reads it once, at import.
    """
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _digest(file: RepoFile) -> Digest:
    if file.lfs is not None:
        return Digest(algorithm="sha256", hexadecimal=file.lfs.sha256)
    return Digest(algorithm="git-sha1", hexadecimal=file.blob_id)


def _refuse_gated(repo: str) -> NoReturn:
    found = "the account of the token has no access" if get_token() else "there is no token"
    raise UserError(
        f"{repo} is gated and {found}: accept its terms at"
        f" https://huggingface.co/datasets/{repo} and set HF_TOKEN"
    )


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Convert errors of the library, whose messages have several lines, to one-line errors."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UserError(
            f"HF_HUB_OFFLINE is set, so {repo} cannot be listed; unset it, or set a mirror"
        ) from error
    except HFValidationError as error:
        raise UserError(f"{repo!r} is not a valid data set name; expected owner/name") from error
    except GatedRepoError:
        _refuse_gated(repo)
    except RevisionNotFoundError as error:
        raise UserError(
            f"{repo} has no revision {revision} at {endpoint()}; check the revision"
        ) from error
    except HfHubHTTPError as error:
        _refuse(repo, revision, error)
    except URL_ERRORS as error:
        raise UserError(f"{endpoint()} is not a valid address; check HF_ENDPOINT") from error
    except CONNECTION_ERRORS as error:
        raise TransientError(
            f"{endpoint()} cannot be reached for {repo} ({type(error).__name__}); check the"
            " network and HF_ENDPOINT"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{endpoint()} does not respond like the Hub for {repo}; check HF_ENDPOINT"
        ) from error


def _refuse(repo: str, revision: str, error: HfHubHTTPError) -> NoReturn:
    status = error.response.status_code
    message = f"{endpoint()} returned {status} for {repo} at {revision}"
    if is_temporary(status):
        raise TransientError(f"{message}; try again later") from error
    if "Invalid credentials" in error.response.headers.get("X-Error-Message", ""):
        raise UserError(f"{message}: the token in HF_TOKEN is invalid; create a new one") from error
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        raise UserError(
            f"{message}: no such data set, or it is private; check the name, and HF_TOKEN if it is"
            " private"
        ) from error
    raise UserError(f"{message}; check the permissions of the token in HF_TOKEN") from error
