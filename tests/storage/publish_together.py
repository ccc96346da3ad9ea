"""Processes that publish at the same moment; run as a script because it forks."""

import json
import os
import sys
from functools import partial
from typing import Any

from storage import manifest
from storage.manifest import Content, Totals
from storage.store import Store
from tests.processes import at_once

NAME = "raced"


def content(value: str) -> Content:
    return Content(
        name=NAME, entries=(), fingerprints={"stage": {"corpus": value}}, parameters={"corpus": {}}
    )


def publish(root: str, value: str) -> dict[str, Any]:
    """Publish and return the manifest; checks that all visible manifests are complete."""
    store = Store(root)
    totals = Totals(shards=0, hours_heard=0, windows_heard=0, windows=0, utterances=0, hours=0)
    published, is_new = manifest.publish(
        store,
        content(value),
        published_at=f"by {os.getpid()}",
        versions={},
        licences={},
        totals={"all": totals},
        render_card=lambda manifest: f"# {manifest.name} {manifest.number}\n",
    )
    for number in manifest.numbers(store, NAME)[-2:]:
        manifest.load(store, NAME, number)
    return {
        "number": published.number,
        "digest": published.digest,
        "by": published.published_at,
        "is_new": is_new,
    }


def main(root: str, num_rounds: int) -> None:
    """Publish two different contents in even rounds, twice the same content in odd rounds."""
    for number in range(num_rounds):
        second = f"{number}" if number % 2 else f"{number} too"
        found = at_once([partial(publish, root, value) for value in (str(number), second)])
        sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
