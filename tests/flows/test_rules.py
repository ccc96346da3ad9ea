"""Rules on made-up speech that is packed into windows: two corpora, in this process, for real."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.state.frontier import Frontier
from flows.state.publication import find_current, publish_manifest
from flows.state.rejections import read_rejections
from flows.state.status import read_status
from flows.state.sweep import read_sweep
from flows.state.utterances.history import read_history
from flows.synthetic import synthesise
from storage.errors import UserError
from storage.manifest import Manifest
from storage.receipt import Receipt
from storage.store import Store
from tasks.corpora import registry
from tasks.demo.teaching.tokenizer import token_id
from tasks.download.raw import download
from tasks.export.rows import entry_rows
from tasks.reading.stream import open_manifest
from tasks.score.vocabulary import vocabulary
from tasks.stages import SHARD_STAGES
from tasks.work import run_job, run_plan
from tests.flows.running import REPOSITORY, TEACHER

SETTINGS = """
synthetic: {folder: made, seed: 3, num_train_utterances: 44, num_eval_utterances: 6}
corpora:
  librispeech:
    mirror: made/librispeech
    checksums: sha256sums
    splits: [train-clean-100, dev-clean, test-clean]
  common_voice:
    mirror: made/common_voice
    checksums: sha256sums
    splits: [train, test]
plan: {target_shard_hours: 0.02}
normalise: {max_duration_s: 8.0}
label: {pack: speaker, temperatures: [0.0]}
filter: {max_wer_percent: 25}
publish: {name: rules}
runtime: {max_quarantined_percent: 50}
"""

RULES: dict[str, Any] = {
    "max_utterance_wer_percent": 60,
    "max_foreign_percent": 50,
    "languages": ["en"],
    "contamination": {"ngram_words": 6},
    "hallucination": {"max_repeats": 4, "max_chars_per_s": 40},
}


def configured(root: Path, **changes: Any) -> RunConfig:
    """The settings above with blocks changed; `corpora` by corpus."""
    values = yaml.safe_load(SETTINGS)
    values["label"]["teacher"] = {"path": str(TEACHER)}
    values["root"], values["synthetic"]["folder"] = str(root / "data"), str(root / "made")
    for name, own in changes.pop("corpora", {}).items():
        values["corpora"][name] |= own
    for corpus in values["corpora"].values():
        corpus["mirror"] = str(root / corpus["mirror"])
    for block, own in changes.items():
        values[block] |= own
    return RunConfig.model_validate(values)


def advance(config: RunConfig, until: str = "filter") -> dict[str, list[Receipt]]:
    """Make what is pending, without Prefect; returns the receipts that are new, by stage."""
    store = Store(config.root)
    synthesise(config, store)
    for state in corpus_states(config, store):
        for part in state.downloads.missing().values():
            download(store, state.corpus, state.settings, part)
    for state in corpus_states(config, store):
        for key, archives in state.unplanned_splits().items():
            run_plan(config, state.place("plan", key), archives)
    made: dict[str, list[Receipt]] = {}
    for stage in SHARD_STAGES[: SHARD_STAGES.index(until) + 1]:
        for state in corpus_states(config, store):
            for shard in state.shards():
                if shard.next_stage == stage:
                    made.setdefault(stage, []).append(run_job(config, state.job(shard, stage)))
    return made


def published(config: RunConfig) -> Manifest:
    advance(config)
    return publish_manifest(config, Store(config.root))[0]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech that is labelled and scored once; tests filter it in ways of their own."""
    folder = tmp_path_factory.mktemp("rules")
    made = advance(configured(folder))
    assert {"label", "score", "filter"} <= made.keys() and "index" not in made
    return folder


def rows(config: RunConfig, receipts: Mapping[str, Receipt], stage: str) -> list[dict[str, Any]]:
    with Store(config.root).fetch(receipts[stage].output) as path:
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def training(config: RunConfig) -> Iterator[Mapping[str, Receipt]]:
    for state in corpus_states(config, Store(config.root)):
        for shard in state.shards("train"):
            yield shard.receipts


def test_windows_hold_several_utterances_with_evidence_of_their_own(root: Path) -> None:
    config = configured(root)
    vocab = vocabulary(config.label.teacher)
    num_packed = num_sure = 0
    for receipts in training(config):
        labels = {row["window_id"]: row for row in rows(config, receipts, "label")}
        for window in rows(config, receipts, "score"):
            assert [one["id"] for one in window["utterances"]] == window["utterance_ids"]
            label = labels[window["window_id"]]
            said = " ".join(one["pseudo_text"] for one in window["utterances"])
            assert said.split() == label["pseudo_text"].split()
            num_packed += len(window["utterances"]) > 1
            for one in window["utterances"]:
                if one["is_start_ambiguous"] or one["is_end_ambiguous"]:
                    continue
                num_sure += 1
                tokens = label["pseudo_tokens"][one["token_start"] : one["token_end"]]
                text = "".join(vocab.text[token] for token in tokens).replace("\u0120", " ")
                assert text.strip() == one["pseudo_text"]
    assert num_packed > 5 and num_sure > 20


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_counts_of_status_files_and_manifest_agree_to_the_row(root: Path, unit: str) -> None:
    config = configured(root, filter={**RULES, "unit": unit})
    manifest = published(config)
    status = Counter[str]()
    for line in read_status(
        config, Store(config.root), corpus_states(config, Store(config.root))
    ).stages:
        rejected = sum(line.dropped.values()) + sum(line.quarantined.values())
        assert line.rows_in + line.created == line.rows_out + rejected
        if line.stage in ("plan", *SHARD_STAGES) and "train" in line.split:
            status.update(line.dropped)
    filtered = Counter(
        row["reason"]
        for receipts in training(config)
        if receipts["filter"].rejected is not None
        for row in _rejected(config, receipts["filter"])
    )
    kept = [row for receipts in training(config) for row in rows(config, receipts, "filter")]
    for reason, count in filtered.items():
        told = list(read_rejections(config, Store(config.root), reason))
        assert len(told) == manifest.totals["all"].dropped[reason] == status[reason]
        assert sum(row.stage == "filter" for row in told) == count
    total = manifest.totals["all"]
    assert total.windows == len(kept)
    assert total.utterances == sum(len(row["utterance_ids"]) for row in kept)
    assert total.hours == pytest.approx(sum(row["duration_s"] for row in kept) / 3600)
    scored = sum(receipts["score"].counts.rows_out for receipts in training(config))
    assert total.utterances + sum(filtered.values()) == scored
    assert {"wer", "language", "contamination"} <= filtered.keys()
    assert ("utterance_wer" in filtered) == (unit == "window")
    assert ("window_of_dropped_utterance" in filtered) == (unit == "window")


def _rejected(config: RunConfig, receipt: Receipt) -> list[dict[str, Any]]:
    assert receipt.rejected is not None
    with Store(config.root).fetch(receipt.rejected) as path:
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def test_a_cut_window_is_learnt_with_its_own_sound_and_text(root: Path) -> None:
    config = configured(root, filter={**RULES, "unit": "utterance"})
    manifest = published(config)
    cuts = {
        row["window_id"]: row
        for receipts in training(config)
        for row in rows(config, receipts, "filter")
        if row["cut"] is not None
    }
    assert cuts
    seen = 0
    for sample in open_manifest(config.root, "rules", num_epochs=1):
        if (row := cuts.get(sample.window_id)) is None:
            continue
        seen += 1
        assert len(sample.samples) == pytest.approx(row["duration_s"] * 16_000, abs=1)
        assert sample.text == row["cut"]["pseudo_text"]
        assert sample.previous_text is None
    assert seen == len(cuts)
    first = next(iter(cuts.values()))["utterance_ids"][0]
    told = read_history(config, Store(config.root), first)
    assert told.decision.outcome == "kept" and "is cut down to" in told.decision.detail
    assert told.own_evidence is not None and told.own_evidence["id"] == first
    exported = {
        row.id: row
        for entry in manifest.content.entries
        for row in entry_rows(entry, Store(config.root), 0, entry.num_windows, 1)
    }
    assert len(exported) == manifest.totals["all"].windows
    for name, cut in cuts.items():
        row = exported[name]
        assert list(row.utterance_ids) == cut["utterance_ids"]
        assert row.wer_percent is not None and row.wer_percent <= 25
        assert row.duration_s == pytest.approx(cut["duration_s"], abs=1e-4)


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_a_sweep_tells_what_is_published_at_each_threshold(root: Path, unit: str) -> None:
    rules = {**RULES, "unit": unit}
    config = configured(root, filter=rules)
    advance(config)
    thresholds = [0.0, 12.5, 25.0, 60.0]
    lines = {
        (line.corpus, line.max_wer_percent): line
        for line in read_sweep(config, Store(config.root), thresholds).lines
    }
    for percent in thresholds:
        other = configured(root, filter={**rules, "max_wer_percent": percent})
        made = advance(other)
        assert made.keys() <= {"filter"}
        totals = publish_manifest(other, Store(other.root))[0].totals
        for corpus in ("librispeech", "common_voice", "all"):
            kept = lines[corpus, percent].kept
            assert (kept.windows, kept.utterances) == (
                totals[corpus].windows, totals[corpus].utterances,
            )  # fmt: skip
            assert kept.hours == pytest.approx(totals[corpus].hours)


def test_speech_that_is_measured_on_is_found_by_text_and_by_sound(root: Path) -> None:
    config = configured(root, filter={"contamination": {"ngram_words": 6}})
    made = advance(config)
    assert made.keys() <= {"index", "filter"}
    store = Store(config.root)
    told = {row.id: row.detail for row in read_rejections(config, store, "contamination")}
    assert "same audio as librispeech/test-clean 7001-700100-0000" in told.values()
    [copied] = [name for name, detail in told.items() if detail.startswith("same audio")]
    story = read_history(config, store, copied)
    assert story.decision.reason == "contamination"
    assert all(
        detail.startswith(("same audio as", "shares 6 consecutive words"))
        for detail in told.values()
    )


def test_half_an_index_filters_nothing(root: Path, tmp_path: Path) -> None:
    config = configured(root, filter={"contamination": {"ngram_words": 7}})
    victim = next((Path(config.root) / "index").rglob("test*/*.receipt.json"), None)
    if victim is None:
        advance(config)
        victim = next((Path(config.root) / "index").rglob("test*/*.receipt.json"))
    data = victim.read_bytes()
    victim.unlink()
    for summary in victim.parent.glob("*.summary.json"):
        summary.unlink()
    try:
        state = corpus_states(config, Store(config.root))[0]
        assert state.evaluation.missing and state.index_digest == "incomplete"
        pending = [shard for shard in state.shards("train") if shard.next_stage == "filter"]
        frontier = Frontier([state], "filter", ("filter",))
        assert frontier.start() == []
        reasons = {key: reason for _, key, reason in frontier.blocked()}
        assert reasons.keys() == {shard.key for shard in pending}
        assert all("1 shards of it are missing: index " in reason for reason in reasons.values())
        with pytest.raises(UserError, match="until index"):
            read_sweep(config, Store(config.root), [5.0])
        assert (
            find_current(config, Store(config.root), corpus_states(config, Store(config.root)))
            is None
        )
    finally:
        victim.write_bytes(data)


def test_another_text_rule_scores_and_filters_that_corpus_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(root)
    advance(config)
    corpus = registry.CORPORA["librispeech"][""]
    shorter = replace(
        corpus,
        clean=lambda raw_text: str(corpus.clean(raw_text)).removeprefix("THE "),
        clean_version=corpus.clean_version + 1,
    )
    monkeypatch.setitem(registry.CORPORA, "librispeech", {"": shorter})
    made = advance(config)
    assert made.keys() == {"score", "filter"}
    assert {receipt.key.corpus for many in made.values() for receipt in many} == {"librispeech"}


def test_a_corpus_may_have_rules_of_its_own(root: Path) -> None:
    advance(configured(root))
    own = {"common_voice": {"filter": {"rights": ["redistribution"], "max_wer_percent": 90}}}
    config = configured(root, corpora=own)
    made = advance(config)
    assert made.keys() == {"filter"}
    assert {receipt.key.corpus for receipt in made["filter"]} == {"common_voice"}
    lines = read_sweep(config, Store(config.root), []).lines
    shown = {(line.corpus, line.max_wer_percent) for line in lines if line.is_configured}
    assert shown == {("librispeech", 25.0), ("common_voice", 90.0)}


def test_the_vocabulary_is_that_of_the_teacher() -> None:
    from transformers import WhisperTokenizer

    config = configured(REPOSITORY)
    found = vocabulary(config.label.teacher)
    tokenizer = WhisperTokenizer.from_pretrained(TEACHER)
    assert found.zero_time_id == token_id(tokenizer, "<|0.00|>")
    ids = tokenizer(" mister brown", add_special_tokens=False).input_ids
    assert "".join(found.text[one] for one in ids) == "\u0120mister\u0120brown"
    label = tokenizer(" mister brown").input_ids
    assert found.num_prompt_tokens(label) == len(tokenizer.prefix_tokens)
