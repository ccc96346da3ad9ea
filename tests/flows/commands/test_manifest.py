"""`distillery manifest` by the command line on a finished run."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from storage.card import sealed_card
from tests.flows.running import Run, copied, tiny
from tests.processes import environment


@pytest.mark.parametrize("stage", ["normalise", "label", "filter"])
def test_a_damaged_file_is_named_with_the_command_that_repairs_it(
    finished: Run, tmp_path: Path, stage: str
) -> None:
    run = copied(finished, tmp_path)
    victim = sorted((run.root / stage).rglob("*train*/?????.????????.parquet"))[0]
    whole = victim.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    victim.write_bytes(damaged)
    path = str(victim.relative_to(run.root))
    result = run.distillery("manifest", "verify", "tiny.yaml", expect=1).stderr
    assert path in result
    found = json.loads(run.distillery("manifest", "verify", "tiny.yaml", "--json", expect=1).stdout)
    [wrong] = found["wrong"]
    assert (wrong["path"], wrong["stage"]) == (path, stage)
    assert f"again: {wrong['again']}" in result
    assert wrong["again"] == f"distillery repair tiny.yaml {path}"
    run.distillery(*shlex.split(wrong["again"])[1:])
    assert victim.read_bytes() == whole
    repaired = run.json("manifest", "verify")
    assert (repaired["wrong"], repaired["digest"]) == ([], finished.digest)
    assert repaired["files"] == 8


def test_damaged_raw_files_are_found_with_raw(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    [victim] = (run.root / "raw").rglob("*.train-clean-100.tar")
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    victim.write_bytes(damaged)
    assert run.json("manifest", "verify")["wrong"] == []
    words = ("manifest", "verify", "tiny.yaml", "--raw", "--json")
    [wrong] = json.loads(run.distillery(*words, expect=1).stdout)["wrong"]
    path = str(victim.relative_to(run.root))
    assert (wrong["path"], wrong["stage"]) == (path, "download")
    assert wrong["again"] == f"distillery repair tiny.yaml {path}"


def test_no_repair_is_promised_with_other_settings(finished: Run, tmp_path: Path) -> None:
    copied(finished, tmp_path)
    other = tiny(tmp_path, filter={"max_wer_percent": 0})
    for victim in (other.root / "filter").rglob("*train*/?????.????????.parquet"):
        victim.write_bytes(victim.read_bytes()[:-1])
    result = other.distillery("manifest", "verify", "tiny.yaml", expect=1).stderr
    assert "with the configuration that published 1: this one has changed" in result


def test_a_difference_has_its_cause(stricter: Run) -> None:
    words = ("manifest", "diff", "tiny.yaml", "1", "2")
    found = json.loads(stricter.distillery(*words, "--json").stdout)
    [cause] = found["causes"]
    assert (cause["kind"], cause["what"]) == ("parameter", "filter.max_wer_percent")
    assert (cause["before"], cause["after"], cause["corpora"]) == (10.0, 0.0, ["librispeech"])
    [line] = found["splits"]
    one, other = (json.loads(stricter.distillery(
        "manifest", "show", "tiny.yaml", number, "--json").stdout) for number in "12")  # fmt: skip
    rows = [one["totals"]["all"]["utterances"], other["totals"]["all"]["utterances"]]
    assert [line["before"]["utterances"], line["after"]["utterances"]] == rows
    assert line["went"]["utterances"] == rows[0] - rows[1] > 0
    assert line["came"]["utterances"] == 0
    assert found["left_out"]["librispeech"] == {"wer": rows[0] - rows[1]}
    shown = stricter.distillery(*words).stdout
    assert "filter.max_wer_percent" in shown and "10.0" in shown
    assert f"wer +{rows[0] - rows[1]}" in shown


def test_the_card_is_stored_and_recreated(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    card = run.root / "manifests" / "tiny" / "00001.md"
    text = card.read_text()
    shown = run.distillery("manifest", "show", "tiny.yaml", "--card").stdout
    assert sealed_card(shown) == text.encode()
    run.distillery("gc", "tiny.yaml", "--grace-hours", "0", "--delete")
    assert card.read_text() == text
    card.unlink()
    assert run.distillery("manifest", "show", "tiny.yaml", "--card").stdout == shown


def test_exports_contain_what_was_published(finished: Run, tmp_path: Path) -> None:
    totals = finished.json("manifest", "show")["totals"]["all"]
    hf, nemo = tmp_path / "hf", tmp_path / "nemo"
    finished.distillery("manifest", "export", "tiny.yaml", "--to", "hf", str(hf))
    rows = datasets.load_dataset(str(hf), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.num_rows == totals["windows"]
    assert sum(rows["duration_s"]) / 3600 == pytest.approx(totals["hours"])
    assert max(rows["wer_percent"]) <= 10
    result = finished.distillery("manifest", "export", "tiny.yaml", "1", "--to", "nemo", str(nemo))
    assert f"tiny 1 is in {nemo}" in result.stdout
    lines = (nemo / "train_manifest.jsonl").read_text().splitlines()
    pairs = {row["id"]: (row["text"], row["pseudo_text"]) for row in rows}
    items = {item["id"]: (item["text"], item["pred_text"]) for item in map(json.loads, lines)}
    assert items == pairs


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (("export", "tiny.yaml", "x", "y", "--to", "hf"), "expected [NUMBER] DEST"),
        (("export", "tiny.yaml", "9", "y", "--to", "hf"), "no manifest tiny 9"),
        (("diff", "tiny.yaml", "1", "2"), "no manifest tiny 2"),
    ],
)
def test_a_mistake_with_manifests_is_one_line(
    finished: Run, words: tuple[str, ...], result: str
) -> None:
    done = finished.distillery("manifest", *words, expect=2)
    assert result in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_read_only_commands_import_neither_torch_nor_prefect(finished: Run) -> None:
    code = (
        "import sys, flows.commands.app\n"
        "for words in ['list', 'show', 'show --card', 'verify', 'diff 1 1']:\n"
        "    word, *more = words.split()\n"
        "    sys.argv = ['distillery', 'manifest', word, 'tiny.yaml', *more]\n"
        "    try: flows.commands.app.main()\n"
        "    except SystemExit as end: assert not end.code, (words, end.code)\n"
        "    assert not {'torch', 'prefect'} & set(sys.modules), words"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.folder, env=environment(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
