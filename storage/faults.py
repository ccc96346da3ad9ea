"""What file systems and servers raise, told in one line by who must act."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from storage.errors import TransientError, UserError

_MISTAKES: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
)


@contextmanager
def explained(verb: str, where: str, *, is_local: bool) -> Iterator[None]:
    """Raise `UserError` or `TransientError` for the faults of a file system, saying `verb` `where`.

    A file that is not there passes through as `FileNotFoundError`, as do faults of a local disk
    that nobody can name.
    """
    try:
        yield
    except FileNotFoundError as error:
        if s3_code(error) != "NoSuchBucket":
            raise
        raise UserError(
            f"cannot {verb} {where}: there is no such bucket; create it, or mend the address"
        ) from error
    except PermissionError as error:
        raise UserError(
            f"not allowed to {verb} {where}: {error};"
            " check the credentials in the environment and the rights there"
        ) from error
    except OSError as error:
        if error.errno in _MISTAKES:
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
    """The code with which an S3 server refused, such as `NoSuchBucket`; None for other errors."""
    response: Any = getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _raised_by(module: str, *names: str) -> tuple[type[Exception], ...]:
    """Exceptions of an optional library, which has raised none if it was never imported."""
    loaded = sys.modules.get(module)
    return tuple(getattr(loaded, name) for name in names) if loaded else ()
