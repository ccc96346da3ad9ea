"""Two concurrent publishers, repeatedly: no number is skipped, duplicated or incomplete."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from storage import manifest
from storage.store import Store
from tests.storage import publish_together
from tests.storage.publish_together import NAME, content


@pytest.mark.parametrize(
    ("root", "num_rounds"),
    [("local", 6), ("s3", 6), pytest.param("local", 50, marks=pytest.mark.slow)],
    indirect=["root"],
    ids=["local", "s3", "local repeatedly"],
)
def test_two_publishers_started_together(root: str, store: Store, num_rounds: int) -> None:
    script = [sys.executable, "-m", publish_together.__name__, root, str(num_rounds)]
    done = subprocess.run(
        script,
        check=True,
        timeout=200,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == num_rounds
    expected: list[str] = []
    for number, (one, other) in enumerate(rounds):
        wanted = [content(f"{number}").digest()]
        if number % 2:
            assert one["number"] == other["number"]
            assert one["by"] == other["by"]
            assert sorted([one["is_new"], other["is_new"]]) == [False, True]
        else:
            wanted.append(content(f"{number} too").digest())
            assert one["is_new"] and other["is_new"]
        assert [one["digest"], other["digest"]] == [wanted[0], wanted[-1]]
        by_number = {result["number"]: result["digest"] for result in (one, other)}
        assert sorted(by_number) == [len(expected) + place + 1 for place in range(len(wanted))]
        expected += [by_number[key] for key in sorted(by_number)]
    assert manifest.numbers(store, NAME) == list(range(1, len(expected) + 1))
    published = [manifest.load(store, NAME, number + 1) for number in range(len(expected))]
    assert [one.digest for one in published] == expected
    assert [one.parent for one in published] == [None, *range(1, len(expected))]
    cards = [path for path in store.list("manifests") if path.endswith(".md")]
    assert len(cards) == len(expected)
