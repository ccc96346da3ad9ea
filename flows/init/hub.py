"""A data set of the Hugging Face Hub: its files, and the columns in the footer of one of them."""

import io
from typing import Final

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from flows.init.columns import detect_columns
from flows.init.folder import name_of
from flows.init.source import Source
from flows.init.splits import split_of, splits_of_tables
from storage.errors import TransientError, UserError
from tasks.download.hub import HubFile, HubListing, auth_headers, file_url, list_files

_TAIL_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_BYTES_PER_HOUR: Final = 57.6e6
"""16 kB for each second: what compressed speech takes, roughly."""

_MAGIC: Final = b"PAR1"


def inspect_hub(repo: str, revision: str, name: str | None = None) -> Source:
    """What a data set on the Hub holds: no audio is brought, and hours are estimated by size.

    Raises what `list_files` raises, and `UserError` where the data set has no Parquet files.
    """
    listing = list_files(repo, revision, False, ["*.parquet"])
    if not listing.files:
        raise UserError(
            f"{repo} has no Parquet files at {listing.commit}; take a revision that has some, such"
            " as refs/convert/parquet"
        )
    schema = _schema(listing, listing.files[0])
    columns = detect_columns(schema.names, f"{repo}/{listing.files[0].path}")
    splits = splits_of_tables([file.path for file in listing.files])
    size_bytes = dict.fromkeys(splits, 0)
    for file in listing.files:
        size_bytes[split_of(file.path)] += file.size_bytes
    return Source(
        name=name or name_of(repo.partition("/")[2]),
        title=repo,
        hub=repo,
        revision=listing.commit,
        splits=splits,
        columns=columns,
        hours={split: size / _BYTES_PER_HOUR for split, size in size_bytes.items()},
        basis="size",
        num_rows=None,
        remarks=(f"Hours are estimated from {sum(size_bytes.values()) / 1e9:.1f} GB of Parquet.",),
    )


def _schema(listing: HubListing, file: HubFile) -> pa.Schema:
    """The columns of a Parquet file, of which its last bytes are fetched."""
    url = file_url(listing.repo, listing.commit, file.path)
    tail = _tail(url, file, _TAIL_BYTES)
    size_bytes = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] == _MAGIC and size_bytes > len(tail):
        tail = _tail(url, file, size_bytes)
    try:
        return pq.read_schema(io.BytesIO(tail))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file.path} of {listing.repo} is not a Parquet file") from error


def _tail(url: str, file: HubFile, num_bytes: int) -> bytes:
    start = max(0, file.size_bytes - num_bytes)
    headers = {**auth_headers(), "Range": f"bytes={start}-{file.size_bytes - 1}"}
    try:
        answer = httpx.get(url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        raise TransientError(f"{url} cannot be read ({type(error).__name__})") from error
    if not answer.is_success:
        raise UserError(
            f"{url} answers {answer.status_code}; check the name, and HF_TOKEN if it is private"
        )
    return answer.content[-num_bytes:]
