"""The whole story on the tiny configuration, by the command line alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from storage.receipt import Receipt
from storage.receipts import record_failure
from storage.stage import Place
from storage.store import Store
from tasks.stages import STAGE_NAMES
from tests.builders import untimed
from tests.flows.running import Run, copied, tiny
from tests.processes import environment

STATUS_KEYS = {
    "stage", "corpus", "split", "shards", "rows_in", "created", "rows_out", "seconds", "dropped",
    "quarantined", "hours", "num_windows", "window_fill",
}  # fmt: skip


def test_every_stage_is_done_and_the_row_law_holds(finished: Run) -> None:
    lines = finished.json("status")["stages"]
    asked = [stage for stage in STAGE_NAMES if stage != "index"]  # for `contamination` alone
    assert list(dict.fromkeys(line["stage"] for line in lines)) == asked
    for line in lines:
        assert line.keys() == STATUS_KEYS
        assert line["shards"]["done"] > 0
        assert line["shards"]["missing"] == line["shards"]["failed"] == 0
        rejected = sum(line["dropped"].values()) + sum(line["quarantined"].values())
        assert line["rows_in"] + line["created"] == line["rows_out"] + rejected


def test_what_real_corpora_contain_is_left_out_with_a_reason(finished: Run) -> None:
    lines = finished.json("status")["stages"]
    dropped = {reason for line in lines for reason in line["dropped"]}
    quarantined = {reason for line in lines for reason in line["quarantined"]}
    assert {"too_long", "wer"} <= dropped
    assert {"no_audio", "unreadable_audio"} <= quarantined


def test_each_row_of_a_stage_goes_into_the_next(finished: Run) -> None:
    train = [line for line in finished.json("status")["stages"] if "train" in line["split"]]
    rows = {line["stage"]: line for line in train}
    for before, after in [
        ("plan", "normalise"), ("normalise", "label"), ("label", "score"), ("score", "filter"),
    ]:  # fmt: skip
        assert rows[after]["rows_in"] == rows[before]["rows_out"]
    published = finished.json("manifest", "show")
    assert published["totals"]["all"]["utterances"] == rows["filter"]["rows_out"]


def test_a_second_run_finds_all_done_without_torch_or_prefect(finished: Run) -> None:
    before = finished.json("manifest", "list")
    code = (
        "import sys; sys.argv = ['distillery', 'run', sys.argv[1]]; import flows.commands.app\n"
        "try: flows.commands.app.main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'prefect'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", code, finished.config.name],
        cwd=finished.folder, env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    assert finished.json("manifest", "list") == before
    assert len(before) == 1


def test_the_manifest_and_the_evaluation_say_what_they_promise(finished: Run) -> None:
    published = finished.json("manifest", "show")
    assert {"name", "number", "digest", "totals"} <= published.keys()
    assert (published["name"], published["number"], published["parent"]) == ("tiny", 1, None)
    assert "all 8 files" in finished.distillery("manifest", "verify", "tiny.yaml").stdout
    report = finished.json("evaluate")
    for model, num_layers in [("teacher", 6), ("student", 2)]:
        assert report[model]["decoder_layers"] == num_layers
        assert {"wer_percent", "num_parameters", "seconds"} <= report[model].keys()


def test_a_shard_made_again_is_the_same(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    before = run.receipts("label")
    gone = sorted((run.root / "label").rglob("00000.*.receipt.json"))[0]
    gone.unlink()
    run.distillery("rerun", "tiny.yaml", "label", "librispeech/train-clean-100/00000")
    after = run.receipts("label")
    assert after.keys() == before.keys()
    redone = {name for name in after if after[name] != before[name]}
    assert redone <= {str(gone.relative_to(run.root))}
    assert run.digest == finished.digest
    assert not run.receipts("distil").keys() - finished.receipts("distil").keys()


def test_another_threshold_labels_and_scores_nothing(finished: Run, stricter: Run) -> None:
    for stage in ("normalise", "label", "score"):
        assert stricter.receipts(stage) == finished.receipts(stage)
    numbers = [one["number"] for one in stricter.json("manifest", "list")]
    assert numbers == [1, 2]
    assert stricter.digest != finished.digest


def test_a_byte_changed_in_storage_is_found(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    victim = sorted((run.root / "label").rglob("*.parquet"))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    told = run.distillery("manifest", "verify", "tiny.yaml", expect=1).stderr
    assert str(victim.relative_to(run.root)) in told


def test_a_shard_that_fails_stops_neither_the_others_nor_hides(tmp_path: Path) -> None:
    run = tiny(tmp_path, runtime={"max_quarantined_percent": 4.5, "retries": 0})
    told = run.run("--until", "publish", expect=1).stderr
    assert "failed: normalise librispeech/train-clean-100/0000" in told
    assert "unreadable_audio" in told
    assert "again: distillery rerun tiny.yaml normalise librispeech/train-clean-100/0000" in told
    assert "not published: 1 of" in told
    lines = run.json("status", expect=1)
    assert "Failed shards:" in run.distillery("status", "tiny.yaml", expect=1).stdout
    by_stage = {
        line["stage"]: line["shards"] for line in lines["stages"] if "train" in line["split"]
    }
    assert by_stage["normalise"]["failed"] == 1
    assert by_stage["filter"]["done"] == by_stage["normalise"]["done"] > 0
    assert not (run.root / "manifests").exists()
    assert run.json("manifest", "list") == []
    mended = tiny(tmp_path)
    key = lines["failures"][0]["key"]
    mended.distillery("rerun", "tiny.yaml", "normalise", key)
    mended.run("--until", "publish")
    assert mended.digest
    mended.distillery("status", "tiny.yaml")


def test_an_evaluation_that_fails_is_in_the_status(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    receipt = sorted((run.root / "evaluate").rglob("*.receipt.json"))[0]
    whole = Receipt.parse(receipt.read_bytes(), receipt.name)
    model = receipt.relative_to(run.root / "evaluate").parts[0]
    place = Place(stage="evaluate", fingerprint=whole.fingerprint, key=whole.key, model=model)
    receipt.unlink()
    record_failure(Store(str(run.root)), place, "out of memory", "2026-01-01T00:00:00+00:00")
    status = run.json("status", expect=1)
    assert [(one["stage"], one["reason"]) for one in status["failures"]] == [
        ("evaluate", "out of memory")
    ]
    assert sum(one["shards"]["failed"] for one in status["stages"]) == 1


def test_a_server_that_is_busy_is_asked_again(finished: Run, tmp_path: Path) -> None:
    run = tiny(tmp_path, runtime={"retries": 2, "retry_delay_s": 0.1})
    with busy_mirror(finished.folder / "tiny-data" / "synthetic" / "librispeech") as address:
        settings = yaml.safe_load(run.config.read_text())
        del settings["synthetic"]
        settings["corpora"]["librispeech"]["mirror"] = address
        run.config.write_text(yaml.safe_dump(settings))
        run.run("--until", "download")
    sources = {json.loads(one)["output"]["sha256"] for one in run.receipts("raw").values()}
    assert sources == {
        json.loads(one)["output"]["sha256"] for one in finished.receipts("raw").values()
    }


def test_garbage_goes_and_nothing_else(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    folder = next((run.root / "label").rglob("*.receipt.json")).parent
    garbage = [folder / "00000.deadbeef.parquet", folder / ".0123.part"]
    for path in garbage:
        path.write_bytes(b"left by a writer that was killed")
        os.utime(path, (1e6, 1e6))
    young = folder / "00001.deadbeef.parquet"
    young.write_bytes(b"of a writer at work")
    assert "2 files" in run.distillery("gc", "tiny.yaml").stdout
    run.distillery("gc", "tiny.yaml", "--delete")
    assert young.exists()
    assert not any(path.exists() for path in garbage)
    young.unlink()
    assert "0 files" in run.distillery("gc", "tiny.yaml", "--grace-hours", "0").stdout
    run.distillery("manifest", "verify", "tiny.yaml")
    assert untimed(run.json("status")) == untimed(finished.json("status"))


@contextmanager
def busy_mirror(folder: Path) -> Iterator[str]:
    """A web server of a folder that answers 503 to the first two requests for an archive."""
    refusals = iter([503, 503])

    class Busy(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".gz") and (status := next(refusals, None)):
                self.send_error(status)
            else:
                super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Busy, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("run", "no.yaml"), 2, "cannot read the configuration no.yaml"),
        (("run", "tiny.yaml", "--until", "labl"), 2, "no stage 'labl'"),
        (("rerun", "tiny.yaml", "label", "librispeech/train-clean-100"), 2, "corpus/split/index"),
        (("rerun", "tiny.yaml", "label", "librispeech/train-clean-100/00099"), 2, "no shard"),
        (("rerun", "tiny.yaml", "label", "librispeech/nope/00000"), 2, "no split 'nope'"),
        (("rerun", "tiny.yaml", "label", "nope/train/00000"), 2, "no corpus 'nope'"),
        (("rerun", "tiny.yaml", "publish", "librispeech/dev-clean/00000"), 2, "shard by shard"),
        (("rerun", "tiny.yaml", "label", "librispeech/dev-clean/00000"), 2, "held-out speech"),
        (("manifest", "show", "tiny.yaml", "7"), 2, "published: 1"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    finished: Run, words: tuple[str, ...], status: int, told: str
) -> None:
    done = finished.here(*words, expect=status)
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("labell: {}\n", "labell: unknown key; did you mean label?"),
        ("root: /proc/nowhere\n", "/proc/nowhere"),
        ("root: memroy://x\n", "memroy"),
    ],
)
def test_a_wrong_configuration_is_told_and_leaves_nothing(
    tmp_path: Path, change: str, told: str
) -> None:
    run = tiny(tmp_path)
    text = run.config.read_text()
    if change.startswith("root:"):
        text = "".join(line for line in text.splitlines(True) if not line.startswith("root:"))
    run.config.write_text(text + change)
    done = run.here("run", "tiny.yaml", expect=2)
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
