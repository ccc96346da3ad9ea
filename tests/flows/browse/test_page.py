"""The page in a real browser, on an index that was never made by a run: filters, keys, sound."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.marks import read_marks
from flows.browse.app import make_app
from flows.browse.audio import AudioReader
from flows.browse.marks import MarkFiles
from flows.browse.query import UtteranceIndex
from flows.browse.room import Room
from flows.pages.server import LOOPBACK, new_token
from storage.receipt import FileRef
from storage.store import Store
from tasks.normalise.schema import NORMALISED
from tests.builders import flac, sine
from tests.flows.browse.listener import Listener
from tests.flows.browse.tables import Row, index_of, utterance
from tests.flows.browser import chromium, why_not
from tests.flows.pages.serving import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

NUM_ROWS = 2_000
NUM_SPOKEN = 8
HOSTILE = "</script><img src=x onerror=alert(1)><b>loud</b> & \u202eback"
PATH = "normalise/ami/f/train/00000.parquet"


def rows() -> list[Row]:
    """Every fourth label is wrong, two share a window, one is hostile; the first 8 have sound."""
    spoken = {"file": PATH, "row_group": 0}
    found = [
        utterance(f"u{number:04d}", wer_percent=10.0 * (number % 4), insertions=number % 3)
        | ({"outcome": "dropped", "reason": "wer"} if number % 4 == 3 else {})
        | (spoken if number < NUM_SPOKEN else {})
        for number in range(NUM_ROWS)
    ]
    found[1] |= {"window_id": "w", "window_utterances": 2}
    found[2] |= {"window_id": "w", "window_utterances": 2}
    found[4] |= {"label": HOSTILE, "hypothesis": HOSTILE, "speaker_id": HOSTILE, "detail": HOSTILE}
    found[5] |= {"file": None, "row_group": None, "outcome": "quarantined", "reason": "no_audio"}
    return found


def write_audio(folder: Path) -> FileRef:
    audio = {"bytes": flac(sine(1.5)), "path": "x.flac"}
    table = pa.Table.from_pylist(
        [
            {"id": f"u{number:04d}", "corpus": "ami", "split": "train", "recording_id": "r",
             "start_s": 0.0, "duration_s": 1.5, "audio": audio, "raw_text": ""}
            for number in range(NUM_SPOKEN)
        ],
        schema=NORMALISED,
    )  # fmt: skip
    path = folder / PATH
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    return FileRef(path=PATH, sha256="0" * 64, size_bytes=path.stat().st_size)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("room")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    room = Room(
        title="Listening room: test",
        index=UtteranceIndex(index_of(*rows())),
        audio=AudioReader(Store(str(folder)), {PATH: write_audio(folder)}),
        marks=MarkFiles({"ami": folder / "marks.jsonl"}),
        units={"ami": "window"},
        advice="marks are kept here",
    )
    token = new_token()
    with serving(make_app(room, token, LOOPBACK), token) as url:
        yield url


@pytest.fixture(scope="module")
def page(url: str) -> Iterator[Listener]:
    with chromium() as driver:
        yield Listener(driver, url)


@pytest.fixture(autouse=True)
def _from_the_start(page: Listener, folder: Path) -> Iterator[None]:
    """All rows are listed and none is marked; after each test, the console is empty."""
    (folder / "marks.jsonl").unlink(missing_ok=True)
    page.restart()
    yield
    assert page.problems == []


def test_filters_and_orders(page: Listener) -> None:
    assert page.text("found") == "2,000 of 2,000 utterances"
    page.click("[data-preset='outcome=dropped']")
    page.until(lambda: set(page.rows()) == {"wer"}, "the rejected")
    assert page.text("found") == "500 of 2,000 utterances"
    page.click("[data-preset='outcome=quarantined']")
    page.until(lambda: page.rows() == ["no_audio"], "the quarantined")
    page.click("[data-preset='']")
    page.set("min_wer", "10")
    page.set("max_wer", "20")
    page.until(lambda: page.text("found") == "1,000 of 2,000 utterances", "a range")
    page.set("text", "u0006")
    page.until(lambda: page.text("found") == "1 of 2,000 utterances", "an id")
    page.click("[data-preset='sort=insertions']")
    page.until(lambda: page.text("found") == "2,000 of 2,000 utterances", "all of them")
    assert page.run(
        "return [...canvas.querySelectorAll('.row')].every(e => e.children[3].textContent === '2')"
    )
    assert page.run("return location.hash") == "#sort=insertions"


def test_keys_select_and_play(page: Listener) -> None:
    page.press("n", "\ue015")  # down
    page.settle()
    assert page.text("name") == "u0001"
    page.press(" ")
    page.until(lambda: page.run("return audio.currentTime") > 0.1, "sound")
    page.press(" ")
    page.until(lambda: page.run("return audio.paused"), "a pause")
    before = page.run("return audio.currentTime")
    page.press("\ue012")  # left
    page.until(lambda: page.run("return audio.currentTime") < before, "the start")
    page.until(
        lambda: page.run("return player.peaks !== null && player.peaks.length > 50"), "a waveform"
    )
    page.press("a", "p")
    page.until(lambda: page.run("return audio.currentTime") > 0.1, "sound of the one before")
    assert page.text("name") == "u0000"
    page.press("a", "?")
    page.until(lambda: page.run("return keys.open"), "the help")
    page.press("\ue00c")  # escape
    page.until(lambda: not page.run("return keys.open"), "no help")


def test_marks_are_written_undone_and_listed(page: Listener, folder: Path) -> None:
    page.press("n", "n", "x", "n", "k", "n")
    page.settle()
    assert page.text("totals").endswith("1 to exclude, 1 to keep")
    assert [(one.id, one.mark) for one in read_marks(folder / "marks.jsonl")] == [
        ("u0001", "exclude"),
        ("u0002", "keep"),
    ]
    page.press("u")
    page.settle()
    assert [one.id for one in read_marks(folder / "marks.jsonl")] == ["u0001"]
    page.press("p", "K")
    page.settle()
    assert {one.id: one.mark for one in read_marks(folder / "marks.jsonl")} == {
        "u0001": "keep",
        "u0002": "keep",
    }
    assert "Window of 2" in page.text("window")
    page.click("[data-preset='mark=any']")
    page.until(lambda: page.text("found") == "2 of 2,000 utterances", "the marked")
    page.press("n", "k", "u", "u", "u")
    page.settle()
    assert read_marks(folder / "marks.jsonl") == ()


def test_what_has_no_sound_says_so(page: Listener) -> None:
    page.click("[data-preset='outcome=quarantined']")
    page.until(lambda: page.rows() == ["no_audio"], "the quarantined")
    page.press("n", " ")
    page.settle()
    assert page.run("return document.getElementById('audio').hidden")
    assert not page.run("return document.getElementById('no-audio').hidden")


def test_text_from_outside_is_shown_as_text(page: Listener) -> None:
    page.set("text", "onerror")
    page.until(lambda: page.text("found") == "1 of 2,000 utterances", "it")
    page.press("n")
    page.settle()
    assert HOSTILE in page.text("texts") and HOSTILE in page.text("scores")
    assert HOSTILE in page.text("decision")
    assert page.run("return document.querySelectorAll('#room img, #room b').length") == 0


def test_any_place_of_the_list_is_reached_and_few_rows_are_in_the_page(page: Listener) -> None:
    page.press("\ue010")  # end
    page.settle()
    assert page.text("name") == "u1999"
    page.run("list.viewport.scrollTop = 1000 * 32")
    page.until(
        lambda: page.run(
            "return [...canvas.querySelectorAll('.text')]"
            ".some(e => e.textContent.endsWith('u1005'))"
        ),
        "the middle",
    )
    assert page.run("return canvas.children.length") < 60
