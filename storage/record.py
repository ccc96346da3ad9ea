"""Records: values stored as JSON with a checksum of their text."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.errors import IntegrityError
from storage.fingerprint import digest

Value = TypeVar("Value")

_SEAL: Final = re.compile(rb',\n "checksum": "([0-9a-f]{64})"\n}$')
_SEAL_BYTES: Final = 128  # more than a seal has
_END: Final = b"\n}"


class Record(BaseModel):
    """A frozen value that can be stored as JSON and refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True
    )

    def encode(self) -> bytes:
        """The record as it is stored."""
        return sealed(self.model_dump_json(indent=1).encode())

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """The record stored at `path`; raises `IntegrityError` if `data` is not what was stored."""
        return parse(data, path, cls.model_validate_json)


def parse(data: bytes, path: str, validate: Callable[[bytes], Value]) -> Value:
    """What `validate` makes of the JSON that `sealed` stored at `path`.

    Raises `IntegrityError` if the checksum is wrong or the value invalid.
    """
    text = _opened(data, path)
    try:
        return validate(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its JSON"
        raise IntegrityError(f"{path} is damaged: {where}: {first['msg']}", path) from error


def sealed(text: bytes) -> bytes:
    """A JSON object, indented by 1, with the SHA-256 of its text as its last key, `checksum`."""
    return text.removesuffix(_END) + f',\n "checksum": "{_sha256(text)}"\n}}'.encode()


def _opened(data: bytes, path: str) -> bytes:
    """The text that was sealed; raises `IntegrityError` if its checksum is another.

    Text without a checksum is returned as it is, since older records have none. A damaged checksum
    is no such case: it leaves a key that the record does not know.
    """
    end = max(0, len(data) - _SEAL_BYTES)
    if (seal := _SEAL.search(data[end:])) is None:
        return data
    text, stated = data[: end + seal.start()] + _END, seal[1].decode()
    if stated != (found := _sha256(text)) and stated != _content_digest(text):
        raise IntegrityError(
            f"{path} is damaged: its checksum is {stated}, its text has {found}", path
        )
    return text


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _content_digest(text: bytes) -> str:
    """The digest of the content, whatever its layout: the checksum of older manifests."""
    try:
        return digest(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        return ""
