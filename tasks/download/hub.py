"""What the Hugging Face Hub, or a server that speaks as it does, has of a data set."""

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
from tasks.download.web import may_pass

_TIMEOUT_S: Final = 60.0
_DATASET: Final = "dataset"

# huggingface_hub 1 sends its requests through httpx, huggingface_hub 2 through httpx2
_CONNECTION_ERRORS: Final = (httpx.HTTPError, httpx2.HTTPError)
_URL_ERRORS: Final = (
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file of a data set by its path there."""

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
    """The files of the data set `repo` that match one of the patterns, as `fnmatch` reads them.

    Makes sure that they may be had, where the data set asks for consent. Raises `UserError` for
    what is not there or not allowed, `TransientError` for faults that may pass.
    """
    authorization = auth_headers()
    if gated and not authorization:
        _refuse_gated(repo)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # it is read from the environment at import
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
        if found and (gated or about.gated):  # everybody may list what not everybody may get
            api.get_hf_file_metadata(url=file_url(repo, commit, found[0].path))
    files = tuple(sorted(found, key=lambda file: file.path))
    return HubListing(repo=repo, commit=commit, files=files)


def file_url(repo: str, commit: str, path: str) -> str:
    """Where a file of a data set can be fetched."""
    return hf_hub_url(repo, path, repo_type=_DATASET, revision=commit, endpoint=endpoint())


def auth_headers() -> dict[str, str]:
    """What shows the Hub who asks: the token of `HF_TOKEN` or of `hf auth login`, if there is one.

    Raises `UserError`, without telling it, when it cannot be a token.
    """
    token = get_token()
    if token is None:
        return {}
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN holds characters that no token has; copy the token anew")
    return {"Authorization": f"Bearer {token}"}


def endpoint() -> str:
    """The address of the Hub.

    The library reads it at import, too early for a server that is started later.
    """
    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def _digest(file: RepoFile) -> Digest:
    if file.lfs is not None:
        return Digest(algorithm="sha256", hexadecimal=file.lfs.sha256)
    return Digest(algorithm="git-sha1", hexadecimal=file.blob_id)


def _refuse_gated(repo: str) -> NoReturn:
    found = "the account of this token has no access" if get_token() else "there is no token"
    raise UserError(
        f"{repo} is gated and {found}: accept its terms at"
        f" https://huggingface.co/datasets/{repo} and give a token in HF_TOKEN"
    )


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Tell what the library raises in one line; its own messages have several."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UserError(
            f"HF_HUB_OFFLINE is set, so the Hub cannot be asked for {repo}; unset it, or name a"
            " mirror"
        ) from error
    except HFValidationError as error:
        raise UserError(f"{repo!r} cannot be the name of a data set; write owner/name") from error
    except GatedRepoError:
        _refuse_gated(repo)
    except RevisionNotFoundError as error:
        raise UserError(
            f"{repo} has no revision {revision} at {endpoint()}; check the revision"
        ) from error
    except HfHubHTTPError as error:
        _refuse(repo, revision, error)
    except _URL_ERRORS as error:
        raise UserError(f"{endpoint()} is no address of a server; check HF_ENDPOINT") from error
    except _CONNECTION_ERRORS as error:
        raise TransientError(
            f"{endpoint()} cannot be reached for {repo} ({type(error).__name__}); check the"
            " network and HF_ENDPOINT"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{endpoint()} does not answer as the Hub does for {repo}") from error


def _refuse(repo: str, revision: str, error: HfHubHTTPError) -> NoReturn:
    status = error.response.status_code
    message = f"{endpoint()} answers {status} for {repo} at {revision}"
    if may_pass(status):
        raise TransientError(f"{message}; try again later") from error
    if "Invalid credentials" in error.response.headers.get("X-Error-Message", ""):
        raise UserError(f"{message}: the token in HF_TOKEN is not valid; make a new one") from error
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        raise UserError(
            f"{message}: there is no such data set, or you may not see it; check the name, and"
            " HF_TOKEN if it is private"
        ) from error
    raise UserError(f"{message}; check what the token in HF_TOKEN may read") from error
