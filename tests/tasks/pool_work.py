"""Functions that the tests of the device pool run in its processes."""

import logging
import os
import time
from typing import Any

import pyarrow as pa

from configs.schema import Label, Runtime


class Odd(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first}\n{second}")


def process_id() -> int:
    return os.getpid()


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def environment() -> dict[str, str]:
    return dict(os.environ)


def fail(error: BaseException | str, cause: BaseException | None = None) -> None:
    if isinstance(error, str):
        raise Odd("first line", error)
    raise error from cause


def log(message: str, *values: object) -> None:
    logging.getLogger("tasks.label").warning(message, *values)


def labels_of(shard: pa.RecordBatch, settings: Label, runtime: Runtime) -> list[dict[str, Any]]:
    from tasks.label.shard import label_shard
    from tasks.whisper.engines import load_engine

    engine = load_engine(settings, runtime)
    outcomes = label_shard([shard], engine, settings)
    return [row for outcome in outcomes for row in outcome.to_pylist()]


def num_loads() -> int:
    from tasks.whisper import model

    return model._load.cache_info().misses


def echo(*values: object) -> tuple[object, ...]:
    return values
