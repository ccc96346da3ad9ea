"""An S3 server that fails, loses answers or refuses: nothing is lost, and errors have one line."""

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from storage import manifest
from storage.errors import TransientError, UserError
from storage.store import Store
from tests.faults.report import Report
from tests.faults.s3_proxy import KINDS, Faults, proxy
from tests.faults.trial import BUCKET, CONFIG, Finished, Trial
from tests.s3_servers import S3Server, bucket
from tests.storage import publish_together

MOST_RUNS = 12
MEANINGS = {
    "500": "500 instead of an answer",
    "503": "503 instead of an answer",
    "truncated": "half of a body, then the connection is closed",
    "lost": "the request is done, its answer is lost",
    "reset": "the connection is closed before the request is done",
    "delay": "an answer up to a second late",
}


@pytest.fixture
def faults() -> Faults:
    """None, until a test sets them."""
    return Faults(percent=0, seed=0)


@pytest.fixture
def behind_proxy(
    moto: S3Server, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> Iterator[S3Server]:
    """An S3 server behind a proxy with `faults`; its address stands in the environment."""
    bucket(moto, BUCKET)
    with proxy(moto, faults) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def settings(faults: Faults, **changes: object) -> None:
    for name, value in changes.items():
        setattr(faults, name, value)
    faults._seen.clear()
    faults.injected.clear()


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize("kind", KINDS)
def test_a_single_fault_of_a_request_is_survived(kind: str, faults: Faults, tmp_path: Path) -> None:
    store = Store(f"s3://{BUCKET}/{tmp_path.name}", scratch=str(tmp_path))
    first: set[tuple[str, str]] = set()

    def only_once(method: str, path: str) -> bool:
        is_new = (method, path) not in first
        first.add((method, path))
        return is_new

    settings(faults, percent=100, kinds=(kind,), applies=only_once)
    assert store.put_if_absent("a/x", b"0123456789")
    assert not store.put_if_absent("a/x", b"another")
    assert store.read("a/x") == b"0123456789"
    assert store.read("a/x", 2, 5) == b"234"
    assert list(store.list("a")) == ["a/x"]
    with store.sink("a") as sink:
        sink.write(b"abc" * 1000)
        ref = store.keep(sink, "a/y")
    with store.fetch(ref) as path:
        assert path.read_bytes() == b"abc" * 1000
    store.delete("a/x")
    assert not store.exists("a/x")
    assert faults.injected.total() > 0


@pytest.mark.usefixtures("behind_proxy")
def test_a_lost_answer_to_a_publication_does_not_hide_that_it_is_ours(
    faults: Faults, tmp_path: Path
) -> None:
    root = f"s3://{BUCKET}/{tmp_path.name}"
    settings(
        faults, percent=100, kinds=("lost",),
        applies=lambda method, path: method == "PUT" and faults.injected["lost"] == 0,
    )  # fmt: skip
    published = publish_together.publish(root, "one")
    assert faults.injected["lost"] == 1
    assert (published["number"], published["is_new"]) == (1, True)
    assert manifest.numbers(Store(root), publish_together.NAME) == [1]


@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize(
    ("status", "kind"), [(403, UserError), (404, UserError), (503, TransientError)]
)
def test_refusals_of_every_request(
    status: int, kind: type[Exception], faults: Faults, tmp_path: Path
) -> None:
    store = Store(f"s3://{BUCKET}/{tmp_path.name}", scratch=str(tmp_path))
    store.put_if_absent("x", b"1")
    faults.refuse = status
    for touch in (
        lambda: store.list(""),
        lambda: store.read("x"),
        lambda: store.put_if_absent("y", b""),
    ):
        with pytest.raises(kind) as raised:
            touch()
        assert len(str(raised.value).splitlines()) == 1
    faults.refuse = None
    assert store.read("x") == b"1"


def complete_despite_faults(trial: Trial) -> int:
    """Run until a run succeeds, each failure in lines of its own; returns how often it ran."""
    for number in range(1, MOST_RUNS + 1):
        started = trial.start("run")
        status, text = started.wait(), started.log.read_text()
        assert "Traceback" not in text, text
        if status == 0:
            return number
        assert status in (1, 2), text
    raise AssertionError(f"not complete after {MOST_RUNS} runs: {text[-3000:]}")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_on_a_server_that_fails_often(
    finished: Finished, moto: S3Server, tmp_path: Path
) -> None:
    faults = Faults(percent=5, seed=3)
    with proxy(moto, faults) as server:
        trial = finished.begin(tmp_path / "trial", "publish", server)
        complete_despite_faults(trial)
        faults.percent = 0
        finished.check(trial)
    assert faults.injected.total() > 0


@pytest.mark.faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("percent", [5, 10])
def test_s3_at(
    percent: int, finished: Finished, moto: S3Server, tmp_path: Path, report: Report
) -> None:
    """Complete runs on a faulty S3 server"""
    report.title = f"Complete runs on an S3 server of whose requests {percent} % fail"
    report.seed = percent
    faults, num_runs, num_trials = Faults(percent, percent), 0, 3
    with proxy(moto, faults) as server:
        for number in range(num_trials):
            trial = finished.begin(tmp_path / str(number), "download", server)
            num_runs += complete_despite_faults(trial)
            faults.percent = 0
            finished.check(trial)
            faults.percent = percent
    for kind, times in sorted(faults.injected.items()):
        report.add(MEANINGS[kind], times, "same manifest")
    report.add(
        "none: all requests", faults.num_requests, f"{num_runs} runs for {num_trials} results"
    )


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("status", [403, 404, 503])
def test_refused_in_the_middle_of_a_run(
    status: int, finished: Finished, moto: S3Server, tmp_path: Path, report: Report
) -> None:
    """Every request refused from a random moment on"""
    report.title = f"S3 answers {status} to every request from a random moment of a run on"
    report.seed = status
    random, num_trials = Random(status), 4
    for number in range(num_trials):
        faults = Faults(0, 0)
        with proxy(moto, faults) as server:
            trial = finished.begin(tmp_path / str(number), "normalise", server)
            started = trial.start("run")
            after = random.randrange(30, 200)
            while started.is_running and faults.num_requests < after:
                time.sleep(0.01)
            faults.refuse = status
            assert started.wait() in (1, 2)
            assert "Traceback" not in started.log.read_text()
            faults.refuse = None
            trial.command("run", CONFIG)
            finished.check(trial)
    report.add(
        f"{status} from a random request on",
        num_trials,
        "run ends with 1 or 2; the next completes it",
    )
