"""The web application without a browser: who is let in, what is answered, what is refused."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flows.browse.app import make_app
from flows.browse.audio import AudioReader
from flows.browse.marks import MarkFiles
from flows.browse.query import UtteranceIndex
from flows.browse.room import Room
from flows.pages.server import new_token
from storage.store import Store
from tests.flows.browse.tables import index_of, utterance

TOKEN = new_token()
SHARED = {"window_id": "w", "window_utterances": 2}


def make_room(folder: Path) -> Room:
    table = index_of(
        utterance("a", **SHARED),
        utterance("b", hypothesis="words of a </script>", wer_percent=33.0, **SHARED),
        utterance("c", outcome="quarantined", stage="plan", reason="no_audio", shard=None),
    )
    return Room(
        title="Listening room: test",
        index=UtteranceIndex(table),
        audio=AudioReader(Store(str(folder)), {}),
        marks=MarkFiles({"ami": folder / "marks.jsonl"}),
        units={"ami": "window"},
        advice="advice",
    )


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    app = make_app(make_room(tmp_path), TOKEN, "127.0.0.1")
    return TestClient(
        app, base_url=f"http://127.0.0.1:8000/{TOKEN}/", raise_server_exceptions=False
    )


@pytest.mark.parametrize(
    "path", ["/", "/rows", "/summary", "/audio/0", "/{TOKEN}x/", "/x{TOKEN}/rows", "/x/rows"]
)
def test_nothing_is_shown_without_the_token(client: TestClient, path: str) -> None:
    answer = client.get(f"http://127.0.0.1:8000{path.replace('{TOKEN}', TOKEN)}")
    assert answer.status_code == 403
    assert answer.text == (
        "the token is missing or wrong; open the address that the command printed\n"
    )


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("[::1]:8000", 200),
        ("192.0.2.7", 200),
        ("attacker.example", 403),
        ("attacker.example:8000", 403),
        ("127.0.0.1.attacker.example", 403),
        ("localhost.attacker.example", 403),
        ("[::1].attacker.example", 403),
        ("", 403),
    ],
)
def test_a_name_that_a_name_server_decides_is_refused(
    client: TestClient, host: str, status: int
) -> None:
    assert client.get("summary", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "audio/..%2f..%2fmarks.jsonl",
        "audio/../../marks.jsonl",
        "audio/%2fetc%2fpasswd",
        "audio/-1",
        "utterances/3",
        "marks.jsonl",
        "browse.js",
    ],
)
def test_no_path_leads_to_a_file(client: TestClient, tmp_path: Path, path: str) -> None:
    (tmp_path / "marks.jsonl").write_text("")
    answer = client.get(f"http://127.0.0.1:8000/{TOKEN}/{path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text


def test_the_page_asks_no_other_server(client: TestClient) -> None:
    answer = client.get("")
    assert answer.headers["content-type"].startswith("text/html")
    assert "connect-src 'self'" in answer.text and "default-src 'none'" in answer.text
    assert "http://" not in answer.text.replace("http://www.w3.org", "")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"


def test_rows_are_listed_in_parts(client: TestClient) -> None:
    found = client.get("rows", params={"sort": "wer", "limit": 1, "offset": 1}).json()
    assert (found["total"], found["offset"], [row["id"] for row in found["rows"]]) == (3, 1, ["a"])
    mistake = client.get("rows", params={"sort": "id", "limit": 1})
    assert mistake.status_code == 400
    assert mistake.json()["error"].startswith("sort: Input should be 'stored'")


def test_an_utterance_is_described(client: TestClient) -> None:
    found = client.get("utterances/1").json()
    assert found["alignment"] == [
        {"kind": "hit", "reference": "words of", "hypothesis": "words of"},
        {"kind": "insertion", "reference": "", "hypothesis": "a"},
        {"kind": "substitution", "reference": "b", "hypothesis": "</script>"},
    ]
    assert [(one["row"], one["id"]) for one in found["window"]] == [(0, "a"), (1, "b")]
    assert found["unit"] == "window"


def test_audio_that_is_not_there_is_an_answer(client: TestClient) -> None:
    answer = client.get("audio/2")
    assert (answer.status_code, answer.json()) == (404, {"error": "c has no audio: plan no_audio"})


def test_marks_are_set_with_what_was_before(client: TestClient, tmp_path: Path) -> None:
    changes = {"changes": [{"row": 0, "mark": "exclude"}, {"row": 1, "mark": "keep"}]}
    answer = client.post("marks", json=changes).json()
    assert answer == {
        "before": [{"row": 0, "mark": None}, {"row": 1, "mark": None}],
        "now": [{"row": 0, "mark": "exclude"}, {"row": 1, "mark": "keep"}],
    }
    assert client.get("summary").json()["marks"] == {"exclude": 1, "keep": 1}
    assert client.get("rows", params={"mark": "keep"}).json()["total"] == 1
    undone = client.post("marks", json={"changes": answer["before"]}).json()
    assert undone["before"] == answer["now"]
    assert (tmp_path / "marks.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"changes": [{"row": 3, "mark": "keep"}]}', "application/json", 400),
        (b'{"changes": [{"row": -1, "mark": "keep"}]}', "application/json", 400),
        (b'{"changes": [{"row": 0, "mark": "maybe"}]}', "application/json", 400),
        (b'{"changes": [{"row": 0, "mark": "keep"}]}', "text/plain", 415),
        (b"not JSON", "application/json", 400),
        (b" " * 2_000_000, "application/json", 413),
    ],
)
def test_other_marks_are_refused(
    client: TestClient, tmp_path: Path, content: bytes, kind: str, status: int
) -> None:
    answer = client.post("marks", content=content, headers={"content-type": kind})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert not (tmp_path / "marks.jsonl").exists()


def test_a_file_of_marks_that_was_damaged_is_named(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "marks.jsonl").write_text("no mark")
    answer = client.get("rows")
    assert answer.status_code == 400
    assert "line 1 of" in answer.json()["error"]
