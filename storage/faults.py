"""Translation of file system and server errors into one-line errors of this project."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from storage.errors import TransientError, UserError

_USER_ERRNOS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
)


@contextmanager
def translated_errors(verb: str, where: str, *, is_local: bool) -> Iterator[None]:
    """Raise file system errors as `UserError` or `TransientError`: "cannot `verb` `where`: ...".

    `FileNotFoundError` passes through, as do unexpected errors of a local disk.
    """
    try:
        yield
    except FileNotFoundError as error:
        if s3_code(error) != "NoSuchBucket":
            raise
        raise UserError(
            f"cannot {verb} {where}: there is no such bucket; create it, or correct the address"
        ) from error
    except PermissionError as error:
        raise UserError(
            f"not allowed to {verb} {where}: {error};"
            " check the credentials in the environment and the permissions of the target"
        ) from error
    except OSError as error:
        if error.errno in _USER_ERRNOS:
            raise UserError(f"cannot {verb} {where}: {error.strerror or error}") from error
        if is_local:
            raise
        raise TransientError(f"cannot {verb} {where}: {error}") from error
    except _raised_by("aiohttp", "ClientError") as error:
        raise TransientError(f"cannot {verb} {where}: {error}") from error
    except _raised_by("botocore.exceptions", "ConnectionError", "HTTPClientError") as error:
        raise TransientError(f"cannot {verb} {where}: {error}") from error
    except _raised_by("botocore.exceptions", "BotoCoreError") as error:
        raise UserError(
            f"cannot {verb} {where}: {error}; check the address and the AWS_* settings"
        ) from error


def s3_code(error: BaseException) -> str | None:
    """The error code of an S3 server, such as `NoSuchBucket`; None for other errors."""
    response: Any = getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _raised_by(module: str, *names: str) -> tuple[type[Exception], ...]:
    """Exception classes of an optional library; none if the library was never imported."""
    loaded = sys.modules.get(module)
    return tuple(getattr(loaded, name) for name in names) if loaded else ()
