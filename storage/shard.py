"""The key of a shard: a value that formats and parses itself."""

import re
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from storage.errors import UserError

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_KEY = re.compile(rf"({_NAME})/({_NAME})/([0-9]{{5}}|[1-9][0-9]{{5,}})")


@dataclass(frozen=True, slots=True, order=True)
class ShardKey:
    """`corpus/split/00007`; a shard keeps its key through all stages."""

    corpus: str
    split: str
    index: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `corpus/split/00007`; raises `UserError` for anything else."""
        match = _KEY.fullmatch(text)
        if match is None:
            raise UserError(
                f"a shard is named corpus/split/index, such as librispeech/train-clean-100/00007;"
                f" found {text!r}"
            )
        return cls(match[1], match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.corpus}/{self.split}/{self.index:05d}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, cls) else cls.parse(value),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )
