"""A folder is pushed to a server that speaks the protocol of the Hub."""

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

from storage.errors import DistilleryError, TransientError, UserError
from tasks.ship.hub import push_folder
from tests.hub_uploads import LINKED_BYTES, READER, WRITER, Model, UploadServer, upload_server

FILES = {"README.md": b"---\nlicense: other\n---\n", "model.safetensors": bytes(LINKED_BYTES)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[UploadServer]:
    """A Hub for this process, and a token that may write there."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    with upload_server() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def push(folder: Path, repo: str = "someone/student", *, private: bool = True) -> str:
    return push_folder(folder, repo, private=private, message="The student of tiny 1")


def test_all_files_arrive_in_one_commit_of_a_private_repository(
    hub: UploadServer, folder: Path
) -> None:
    url = push(folder)
    model = hub.models["someone/student"]
    assert url.startswith(f"{hub.url}/someone/student/commit/")
    assert model == Model(private=True, files=FILES, messages=["The student of tiny 1"])
    assert push(folder) != ""  # again


def test_what_is_private_is_not_pushed_to_a_public_repository(
    hub: UploadServer, folder: Path
) -> None:
    hub.models["someone/student"] = Model(private=False)
    with pytest.raises(UserError, match="is public; name another, or push with --public"):
        push(folder)
    assert hub.models["someone/student"].files == {}
    push(folder, private=False)
    assert hub.models["someone/student"].files == FILES


def test_what_is_for_all_is_not_pushed_to_a_private_repository(
    hub: UploadServer, folder: Path
) -> None:
    hub.models["someone/student"] = Model(private=True)
    with pytest.raises(UserError, match="is private; make it public in its settings there"):
        push(folder, private=False)
    assert hub.models["someone/student"].files == {}


def test_another_format_takes_the_place_of_the_first_in_one_commit(
    hub: UploadServer, folder: Path
) -> None:
    others = {"NOTES.md": b"mine", ".gitattributes": b""}
    onnx = {"onnx/encoder_model.onnx": b"old", "training.jsonl": b"{}", "model.bin": b"old"}
    hub.models["someone/student"] = Model(private=True, files={**others, **onnx})
    push(folder)
    model = hub.models["someone/student"]
    assert model.files == {**others, **FILES}
    assert model.messages == ["The student of tiny 1"]


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (READER, "returned 403 for someone/student; check the name, and that the token"),
        ("hf_with\x1bescape", "characters that no token has"),
        ("", "there is no token to push with; set HF_TOKEN"),
    ],
)
def test_a_token_that_may_not_write_is_not_shown(
    hub: UploadServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    token: str,
    words: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=words) as raised:
        push(folder)
    output = str(raised.value) + "".join(capfd.readouterr())
    assert "hf_" not in output
    assert "\n" not in str(raised.value)


def test_a_name_that_is_none_is_a_mistake(hub: UploadServer, folder: Path) -> None:
    with pytest.raises(UserError, match="is not a valid model name; expected owner/name"):
        push(folder, "someone/stu dent")


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        (None, TransientError, "returned 503 for someone/student; try again later"),
        ("http://127.0.0.1:9", TransientError, "cannot be reached for someone/student"),
        ("hub.example", UserError, "is not a valid address; check HF_ENDPOINT"),
    ],
)
def test_a_hub_that_does_not_answer_is_named(
    hub: UploadServer,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    error: type[DistilleryError],
    words: str,
) -> None:
    hub.is_down = True
    if address is not None:
        monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(error, match=words):
        push(folder)
