"""Data sets on a Hub: listing, access, and verified downloads."""

import hashlib
import logging
import random
from pathlib import Path

import huggingface_hub
import pytest

from storage.errors import DistilleryError, IntegrityError, TransientError, UserError
from tasks.download.fetch import Digest, fetch
from tasks.download.hub import HubFile, auth_headers, file_url, list_files
from tests.hub_server import MEMBER, STRANGER, HubServer, git_sha1

REPO = "people/speech"
LARGE = random.Random(1).randbytes(400_000)
SMALL = b"id\ttext\n1\thello\n"
FILES = {
    "README.md": b"# Speech\n",
    "clean/test-00000-of-00001.parquet": LARGE[:5_000],
    "clean/train-00000-of-00002.parquet": LARGE,
    "clean/train-00001-of-00002.parquet": LARGE[::-1],
    "data/a b#c?.tsv": SMALL,
    "data/empty.tsv": b"",
}
PATTERNS = ("clean/train-*", "data/*")
TRAIN = "clean/train-00000-of-00002.parquet"


@pytest.fixture
def repo(hub: HubServer) -> HubServer:
    hub.repos[REPO] = dict(FILES)
    return hub


@pytest.fixture
def gated(repo: HubServer) -> HubServer:
    repo.gated.add(REPO)
    return repo


def listed(patterns: tuple[str, ...] = PATTERNS, *, is_gated: bool = False) -> list[HubFile]:
    return list(list_files(REPO, "main", is_gated, patterns).files)


def download_file(hub: HubServer, file: HubFile, scratch: Path) -> bytes:
    url = file_url(REPO, hub.commit(REPO), file.path)
    with fetch(
        url, file.digest, scratch, size_bytes=file.size_bytes, headers=auth_headers()
    ) as path:
        return path.read_bytes()


@pytest.mark.parametrize("page_size", [1, 3, 1_000])
def test_the_files_of_the_patterns_are_listed_with_their_digests(
    repo: HubServer, page_size: int
) -> None:
    repo.page_size = page_size
    listing = list_files(REPO, "main", False, PATTERNS)
    assert (listing.repo, listing.commit) == (REPO, repo.commit(REPO))
    assert [file.path for file in listing.files] == sorted(FILES)[2:]
    for file in listing.files:
        data = FILES[file.path]
        assert file.size_bytes == len(data)
        sha256 = Digest(algorithm="sha256", hexadecimal=hashlib.sha256(data).hexdigest())
        named = Digest(algorithm="git-sha1", hexadecimal=git_sha1(data))
        assert file.digest == (sha256 if file.path.startswith("clean") else named)
    num_entries = len(FILES) + 2  # folders
    num_pages = -(-num_entries // page_size)
    assert len([one for one in repo.requests if "/tree/" in one.path]) == num_pages


def test_only_necessary_requests_are_sent(repo: HubServer) -> None:
    listed()
    assert [one.path for one in repo.requests] == [
        f"/api/datasets/{REPO}/revision/main",
        f"/api/datasets/{REPO}/tree/{repo.commit(REPO)}",
    ]


def test_patterns_without_a_match_give_no_files(repo: HubServer) -> None:
    assert listed(("dirty/*",)) == []
    assert [file.path for file in listed(("*.MD", "README.md"))] == ["README.md"]


def test_all_listed_files_can_be_downloaded(repo: HubServer, tmp_path: Path) -> None:
    found = {file.path: download_file(repo, file, tmp_path) for file in listed(("*",))}
    assert found == FILES
    assert list(tmp_path.glob("*.part*")) == []


def test_the_hub_library_gets_the_same_from_this_server(
    gated: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    api = huggingface_hub.HfApi(endpoint=gated.url, token=MEMBER)
    for path, data in FILES.items():
        here = api.hf_hub_download(REPO, path, repo_type="dataset", cache_dir=tmp_path)
        assert Path(here).read_bytes() == data
    assert sorted(api.list_repo_files(REPO, repo_type="dataset")) == sorted(FILES)
    with pytest.raises(huggingface_hub.errors.RemoteEntryNotFoundError):
        api.hf_hub_download(REPO, "nothing", repo_type="dataset", cache_dir=tmp_path)
    for token in (False, STRANGER):
        with pytest.raises(huggingface_hub.errors.GatedRepoError):
            api.hf_hub_download(
                REPO, TRAIN, repo_type="dataset", cache_dir=tmp_path / "other", token=token
            )


def test_repeated_interruptions_do_not_change_the_result(repo: HubServer, tmp_path: Path) -> None:
    [file] = listed((TRAIN,))
    repo.breaks_after = 250_000
    with pytest.raises(TransientError, match=r"train-00000-of-00002\.parquet"):
        download_file(repo, file, tmp_path)
    repo.breaks_after = None
    repo.breaks = [0, 70_000, 0, 1]
    repo.requests.clear()
    assert download_file(repo, file, tmp_path) == LARGE
    starts = [250_000, 250_000, 320_000, 320_000, 320_001]
    ranges = [f"bytes={start}-" for start in starts]
    assert [one.range for one in repo.requests if one.origin == "cdn"] == ranges


@pytest.mark.parametrize("path", [TRAIN, "data/a b#c?.tsv"])
def test_a_corrupted_byte_is_detected(repo: HubServer, tmp_path: Path, path: str) -> None:
    [file] = [file for file in listed() if file.path == path]
    repo.corrupted[path] = 9
    with pytest.raises(IntegrityError, match=file.digest.hexadecimal):
        download_file(repo, file, tmp_path)
    repo.corrupted.clear()
    assert download_file(repo, file, tmp_path) == FILES[path]


def test_rate_limits_are_waited_for(repo: HubServer, tmp_path: Path, waits: list[float]) -> None:
    [file] = listed((TRAIN,))
    repo.refusals = [(429, {"Retry-After": "3"}), (429, {"RateLimit": '"resolvers";r=0;t=4'})]
    assert download_file(repo, file, tmp_path) == LARGE
    assert waits == [3, 4]


def test_the_token_is_sent_to_the_hub_only(
    gated: HubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    for file in listed(is_gated=True):
        assert download_file(gated, file, tmp_path) == FILES[file.path]
    assert {(one.origin, one.token) for one in gated.requests} == {("hub", MEMBER), ("cdn", None)}
    assert MEMBER not in caplog.text


@pytest.mark.parametrize("is_gated", [True, False])
@pytest.mark.parametrize(
    ("token", "found"),
    [(None, "there is no token"), (STRANGER, "the account of the token has no access")],
)
def test_missing_access_to_a_gated_data_set_is_reported_at_listing(
    gated: HubServer,
    monkeypatch: pytest.MonkeyPatch,
    is_gated: bool,
    token: str | None,
    found: str,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    terms = f"accept its terms at https://huggingface.co/datasets/{REPO} and set"
    with pytest.raises(UserError, match=f"^{REPO} is gated and {found}: {terms} HF_TOKEN$"):
        listed(is_gated=is_gated)


def test_a_gated_file_without_a_token_is_a_user_error(gated: HubServer, tmp_path: Path) -> None:
    file = HubFile(path=TRAIN, size_bytes=1, digest=Digest(algorithm="sha256", hexadecimal="0"))
    with pytest.raises(UserError, match="returned 401 Unauthorized: access denied"):
        download_file(gated, file, tmp_path)


@pytest.mark.parametrize("token", [None, MEMBER])
def test_a_missing_data_set_is_reported(
    repo: HubServer, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match="for no/such at v2: no such data set"):
        list_files("no/such", "v2", False, ["*"])
    with pytest.raises(UserError, match=f"{REPO} has no revision v2 at {repo.url}"):
        list_files(REPO, "v2", False, ["*"])
    with pytest.raises(UserError, match="'no such' is not a valid data set name"):
        list_files("no such", "main", False, ["*"])


def test_an_invalid_token_is_reported(repo: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="the token in HF_TOKEN is invalid") as raised:
        listed()
    assert "hf_wrong" not in str(raised.value)
    monkeypatch.setenv("HF_TOKEN", "hf_wrongé")
    with pytest.raises(UserError, match="contains characters that no token has") as raised:
        listed()
    assert "hf_wrong" not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "raised"),
    [(429, TransientError), (503, TransientError), (403, UserError), (400, UserError)],
)
def test_an_error_status_is_reported(
    repo: HubServer, status: int, raised: type[DistilleryError]
) -> None:
    repo.refusals = [(status, {"Retry-After": "1"})]
    with pytest.raises(raised, match=f"returned {status} for {REPO} at main") as error:
        listed()
    assert "\n" not in str(error.value)


def test_an_unreachable_hub_is_reported(repo: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:9 cannot be reached for people/speech"):
        listed()
    monkeypatch.setenv("HF_ENDPOINT", "hub.example")
    with pytest.raises(UserError, match=r"hub\.example is not a valid address"):
        listed()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        listed()


def test_a_server_that_is_not_a_hub_is_reported(
    repo: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.refusals = [(200, {})]
    with pytest.raises(UserError, match="does not respond like the Hub"):
        listed()


def test_a_url_has_the_commit_and_the_unchanged_path(repo: HubServer) -> None:
    commit = repo.commit(REPO)
    where = f"{repo.url}/datasets/{REPO}/resolve/{commit}/data/a%20b%23c%3F.tsv"
    assert file_url(REPO, commit, "data/a b#c?.tsv") == where


def test_without_a_token_there_is_no_authorization(
    repo: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert auth_headers() == {}
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert auth_headers() == {"Authorization": f"Bearer {MEMBER}"}
