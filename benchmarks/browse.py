"""How long a listener waits among 100,000 utterances: filters, orders, and scrolling.

    python -m benchmarks.browse [--json] [--rows 100000]

Prints milliseconds on an index that is made up: of each query on the server, medians of several
that are not cached; and, where Chromium is installed, from a changed filter to the rows in the
page, and from a jump to any place of the list to the rows there. Without Prefect and without the
network.
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter
from typing import Any, Final

import pyarrow as pa

from flows.browse.app import make_app
from flows.browse.audio import AudioReader
from flows.browse.marks import MarkFiles
from flows.browse.part import UTTERANCES
from flows.browse.query import Query, UtteranceIndex
from flows.browse.room import Room
from flows.pages.server import address, listen, new_token, server
from storage.store import Store

_NUM_ROUNDS: Final = 7
_WORDS: Final = [
    "the", "of", "and", "to", "a", "in", "that", "he", "was", "it", "his", "is", "with", "as",
    "had", "for", "at", "by", "on", "not", "you", "be", "her", "which", "have", "from", "this",
    "all", "they", "were", "she", "one", "but", "him", "so", "said", "there", "my", "been", "who",
]  # fmt: skip
_QUERIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "all": {},
    "reason": {"reason": "wer"},
    "WER range": {"min_wer": 10, "max_wer": 20},
    "words": {"text": "was it his"},
    "words, sorted by WER": {"text": "said", "sort": "wer"},
    "everything, sorted by insertions": {"sort": "insertions"},
    "corpus, reason, words, sorted": {
        "corpus": "ami", "reason": "wer", "text": "her", "sort": "wer",
    },
}  # fmt: skip
_BROWSER_FLAGS: Final = ("headless", "no-sandbox", "disable-gpu", "window-size=1280,820")
_MEASURE: Final = """
const [kind, value, done] = arguments;
const begun = performance.now();
const finish = () => requestAnimationFrame(() => done(performance.now() - begun));
const isThere = () => !list.canvas.querySelector(".quiet") && list.canvas.children.length > 0;
const wait = () => (isThere() ? finish() : requestAnimationFrame(wait));
if (kind === "filter") setFilters(value).then(wait);
else { list.viewport.scrollTop = value * list.total * 32; requestAnimationFrame(wait); }
"""


def made_up(num_rows: int, seed: int = 0) -> pa.Table:
    """An index of so many utterances, the same for the same seed."""
    chance = random.Random(seed)
    rows = []
    for number in range(num_rows):
        words = " ".join(chance.choices(_WORDS, k=chance.randint(3, 30)))
        wer = round(chance.expovariate(1 / 8), 1)
        reason = "wer" if wer > 10 else ""
        rows.append(
            {
                "id": f"{number // 40:05d}-{number:07d}",
                "corpus": chance.choice(["ami", "librispeech", "voxpopuli"]),
                "split": "train",
                "shard": number // 2_000,
                "outcome": "dropped" if reason else "kept",
                "stage": "filter",
                "reason": reason,
                "detail": "",
                "speaker_id": str(number // 40),
                "window_id": f"{number // 40:05d}-{number:07d}",
                "window_utterances": 1,
                "duration_s": chance.uniform(1, 20),
                "raw_text": words.upper(),
                "label": words,
                "reference": words,
                "hypothesis": words,
                "wer_percent": wer,
                "insertions": chance.randint(0, 9),
                "deletions": chance.randint(0, 9),
                "avg_logprob": -chance.random(),
            }
        )
    return pa.Table.from_pylist(rows, schema=UTTERANCES)


def query_times_ms(index: UtteranceIndex) -> dict[str, float]:
    """The median time of each query and of its first page, never from the cache."""
    found = {}
    for name, asked in _QUERIES.items():
        times = []
        for number in range(_NUM_ROUNDS):
            query = Query.model_validate({**asked, "max_wer": 1e6 + number, **asked})
            if "max_wer" in asked:
                query = query.model_copy(update={"min_wer": 10 + number / 1e6})
            begun = perf_counter()
            index.shown(index.find(query, {})[:100], {})
            times.append(1000 * (perf_counter() - begun))
        found[name] = round(median(times), 1)
    return found


@contextmanager
def served(index: UtteranceIndex, folder: Path) -> Iterator[str]:
    """The URL of a room with that index, without audio."""
    room = Room(
        title="Listening room",
        index=index,
        audio=AudioReader(Store(str(folder)), {}),
        marks=MarkFiles({"ami": folder / "marks.jsonl"}),
        units={},
        advice="",
    )
    token = new_token()
    with listen(0) as listening:
        app = make_app(room, token, "127.0.0.1")
        serving = server(app)
        Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True).start()
        yield address(listening, token)


def page_times_ms(url: str) -> dict[str, dict[str, float]]:
    """Median and longest time from a filter or a jump to the rows in the page of a browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in _BROWSER_FLAGS:
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.get(url)
        driver.set_script_timeout(60)
        queries = [
            "reason=wer",
            "text=was it",
            "sort=wer",
            "min_wer=10&max_wer=20",
            "",
            "text=said&sort=insertions",
        ]
        filtered = [driver.execute_async_script(_MEASURE, "filter", one) for one in queries]
        driver.execute_async_script(_MEASURE, "filter", "sort=wer")
        places = [0.9, 0.1, 0.5, 0.7, 0.3, 0.99, 0.2]
        scrolled = [driver.execute_async_script(_MEASURE, "scroll", one) for one in places]
    finally:
        driver.quit()
    return {
        name: {"median_ms": round(median(times), 1), "longest_ms": round(max(times), 1)}
        for name, times in (("filter", filtered), ("jump", scrolled))
    }


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=100_000)
    asked = parser.parse_args()
    index = UtteranceIndex(made_up(asked.rows))
    result: dict[str, Any] = {"rows": asked.rows, "query_ms": query_times_ms(index)}
    if shutil.which("chromium") and shutil.which("chromedriver"):
        with tempfile.TemporaryDirectory() as folder, served(index, Path(folder)) as url:
            result["page"] = page_times_ms(url)
    if asked.json:
        json.dump(result, sys.stdout, indent=1)
        return
    lines = [f"{asked.rows} utterances"]
    lines += [f"{name:<34} {value:8.1f} ms" for name, value in result["query_ms"].items()]
    lines += [
        f"in the page: {name:<21} {times['median_ms']:8.1f} ms, at most {times['longest_ms']:.1f}"
        for name, times in result.get("page", {}).items()
    ]
    sys.stdout.write("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
