"""What enters a fingerprint: every setting that affects a result, and no default."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from configs.load import load_config
from configs.schema import Contamination, RunConfig
from tasks.corpora.registry import corpus_of_run
from tasks.distil.stage import DISTIL, distil_parameters
from tasks.evaluate.conditions import AS_IT_IS, AddedNoise, Condition
from tasks.evaluate.models import MeasuredModel
from tasks.stage import Stage, StageContext
from tasks.stages import (
    STAGES,
    evaluation_fingerprint,
    fingerprints,
    stage_named,
    student_fingerprint,
)

ROOT = Path(__file__).parents[2]
CORPUS = "librispeech"
MODEL = MeasuredModel(name="teacher", identity="model")

GOLDEN = {
    "tiny": {
        "plan": "034e895d53d77045",
        "normalise": "9d265b374a4d70dd",
        "label": "4c87572a37314ffa",
        "score": "4f2dd10c19c4474d",
        "index": "f20cc66f4eeecd4c",
        "filter": "9c75b667b99e7a6a",
        "distil": "ac185ff2042fcbb5",
        "evaluate": "1492f6410631f469",
    },
    "demo": {
        "plan": "bd834aade28e4e89",
        "normalise": "7e5b553b90ed81c8",
        "label": "3346a2c9a703fde6",
        "score": "fb95d874389bd9d1",
        "index": "5ccfac9071922400",
        "filter": "a8673fe8dc899a40",
        "distil": "33a90bc7dd6eef45",
        "evaluate": "b866e1ebf9184fec",
    },
}
"""Configuration to what `all_fingerprints` gives for LibriSpeech."""

AFTER_PLAN = {"plan", "normalise", "label", "score", "index", "filter", "evaluate"}
AFTER_NORMALISE = AFTER_PLAN - {"plan"}
AFTER_LABEL = {"label", "score", "filter"}
CHANGED_BY = {
    "plan": AFTER_PLAN,
    "normalise": AFTER_NORMALISE,
    "label": AFTER_LABEL,
    "label.dtype": AFTER_LABEL | {"evaluate"},
    "label.task": AFTER_LABEL | {"evaluate"},
    "label.max_new_tokens": AFTER_LABEL | {"evaluate"},
    # labels of another language are compared by another normaliser
    "label.language": AFTER_LABEL | {"index", "evaluate"},
    "score": {"score", "index", "filter", "evaluate"},
    "filter": {"filter"},
    "filter.marks.file": set(),  # what is in it counts, see tests/tasks/filter/test_marks.py
    "publish.name": {"distil"},
    "publish": set(),
    "distil": {"distil"},
    "evaluate": set(),
    "runtime": set(),
    "root": set(),
    "licence": set(),
}
"""Setting, or the block it is in, to the fingerprints that another value changes."""


def configuration(name: str) -> RunConfig:
    return load_config(ROOT / "configs" / f"{name}.yaml")


def all_fingerprints(config: RunConfig) -> dict[str, str]:
    """Every fingerprint that a configuration decides, for one corpus."""
    corpus = corpus_of_run(config, CORPUS)
    return {
        **fingerprints(config, corpus, "0" * 64),
        "distil": student_fingerprint(config, "0" * 64, ["1" * 64]),
        "evaluate": evaluation_fingerprint(config, corpus, MODEL),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_fingerprints_of_the_checked_in_configurations(name: str) -> None:
    assert all_fingerprints(configuration(name)) == GOLDEN[name], (
        "results would be computed again: raise the version of a stage if its meaning changed,"
        " then put what was found here"
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_a_new_key_with_a_default_changes_no_fingerprint(name: str) -> None:
    config = configuration(name)
    extended = with_added_key(config)
    assert "added" in type(extended.label).model_fields
    assert "added" in type(extended.filter.without_reference).model_fields
    assert all_fingerprints(extended) == all_fingerprints(config)


def with_added_key(value: Any) -> Any:
    """The same settings, of classes that all have one more key with a default."""
    if isinstance(value, Mapping):
        return {name: with_added_key(one) for name, one in value.items()}
    if not isinstance(value, BaseModel):
        return value
    kind = create_model(type(value).__name__, __base__=type(value), added=(int, 7))
    values = {name: with_added_key(getattr(value, name)) for name in type(value).model_fields}
    return kind.model_construct(**values, added=7)


def test_another_value_of_the_new_key_changes_its_stage() -> None:
    extended = with_added_key(configuration("tiny"))
    other = extended.model_copy(update={"filter": extended.filter.model_copy(update={"added": 8})})
    assert changed(extended, other) == {"filter"}


MODELS = ("label.teacher", "runtime.label_draft", "distil.initial_student")


def settings_of(value: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, those of corpora and models left out."""
    for name in type(value).model_fields:
        one, dotted = getattr(value, name), f"{prefix}{name}"
        if dotted in ("corpora", "synthetic", *MODELS):
            continue
        if isinstance(one, BaseModel):
            yield from settings_of(one, f"{dotted}.")
        else:
            yield dotted


def with_contamination() -> RunConfig:
    """A configuration in which every optional block and every setting of the filter counts."""
    config = configuration("tiny")
    update = {"contamination": Contamination(), "fraction": 0.5}
    filter_ = config.filter.model_copy(update=update)
    return config.model_copy(update={"filter": filter_})


@pytest.mark.parametrize("setting", list(settings_of(with_contamination())))
def test_another_value_changes_exactly_the_fingerprints_that_it_affects(setting: str) -> None:
    config = with_contamination()
    assert changed(config, with_other_value(config, setting.split("."))) == expected(setting)


def test_the_seed_of_a_share_is_nothing_where_every_window_is_kept() -> None:
    config = configuration("tiny")
    assert config.filter.fraction == 1
    assert not changed(config, with_other_value(config, ["filter", "fraction_seed"]))


def changed(one: RunConfig, other: RunConfig) -> set[str]:
    before, after = all_fingerprints(one), all_fingerprints(other)
    return {name for name in before if before[name] != after[name]}


def expected(setting: str) -> set[str]:
    """By the longest entry of `CHANGED_BY` that the setting begins with."""
    names = setting.split(".")
    blocks = (".".join(names[:length]) for length in range(len(names), 0, -1))
    return next(CHANGED_BY[block] for block in blocks if block in CHANGED_BY)


def with_other_value(settings: Any, path: list[str]) -> Any:
    name, *rest = path
    value = getattr(settings, name)
    return settings.model_copy(
        update={name: with_other_value(value, rest) if rest else other_value(name, value)}
    )


def other_value(name: str, value: Any) -> Any:
    """A value that differs; it need not be a valid one."""
    if name == "rights":
        return ("derivatives",)
    if name == "normaliser":
        return "basic"
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case tuple():
            return (*value, "x")
        case _:
            return 1


@pytest.mark.parametrize(("pack", "stages"), [("speaker", AFTER_LABEL), ("none", set())])
def test_labels_depend_on_what_speaker_ids_mean_if_windows_are_packed(
    pack: str, stages: set[str]
) -> None:
    config = with_pack(configuration("tiny"), pack)
    corpus = corpus_of_run(config, CORPUS)
    other = replace(corpus, speaker_ids="recording")
    before, after = (fingerprints(config, one, "0" * 64) for one in (corpus, other))
    assert {name for name in before if before[name] != after[name]} == stages


def with_pack(config: RunConfig, pack: str) -> RunConfig:
    return config.model_copy(update={"label": config.label.model_copy(update={"pack": pack})})


def test_a_student_depends_on_what_auto_means_where_it_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spaced = configuration("tiny")
    distil = spaced.distil.model_copy(update={"layer_choice": "auto"})
    auto = spaced.model_copy(update={"distil": distil})
    before = [all_fingerprints(one) for one in (spaced, auto)]
    monkeypatch.setattr("tasks.distil.stage._AUTO_VERSION", 99)
    after = [all_fingerprints(one) for one in (spaced, auto)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_giving_an_optional_block_differs_from_leaving_it_out() -> None:
    without = configuration("tiny")
    filter_ = without.filter.model_copy(update={"contamination": Contamination()})
    assert changed(without, without.model_copy(update={"filter": filter_})) == {"filter"}


def contexts() -> Iterator[tuple[Stage, StageContext]]:
    config = with_contamination()
    context = StageContext(config=config, corpus=corpus_of_run(config, CORPUS))
    yield from ((stage, context) for stage in STAGES)


def test_every_default_is_pinned_by_the_version_of_its_stage() -> None:
    unpinned = {
        f"{stage.name}: {one.name}"
        for stage, context in contexts()
        for one in stage.parameters(context)
        if one.has_default and one.name not in stage.defaults
    }
    unpinned |= {
        f"distil: {one.name}"
        for one in distil_parameters(configuration("tiny"))
        if one.has_default and one.name not in DISTIL.defaults
    }
    assert not unpinned, "add them to `defaults` in the stage.py of the stage"


def test_a_default_that_changes_after_its_version_changes_the_fingerprint() -> None:
    config = configuration("tiny")
    context = StageContext(config=config, corpus=corpus_of_run(config, CORPUS))
    label = stage_named("label")
    pinned = dict(label.defaults)
    assert pinned["max_compression_ratio"] == config.label.max_compression_ratio
    other = config.label.model_copy(update={"max_compression_ratio": 3.0})
    later = StageContext(config=config.model_copy(update={"label": other}), corpus=context.corpus)
    assert "max_compression_ratio" not in label.identity(label.parameters(context))
    assert label.identity(label.parameters(later))["max_compression_ratio"] == 3.0


def condition_fingerprint(condition: Condition, **evaluate: Any) -> str:
    settings = configuration("tiny").evaluate
    config = configuration("tiny").model_copy(
        update={"evaluate": type(settings).model_validate({**settings.model_dump(), **evaluate})}
    )
    return evaluation_fingerprint(config, corpus_of_run(config, CORPUS), MODEL, condition)


def test_each_condition_has_a_fingerprint_of_its_own() -> None:
    noisy = [
        Condition(noise=AddedNoise(kind=kind, snr_db=snr_db))
        for kind in ("white", "babble")
        for snr_db in (10, 0)
    ]
    long = [Condition(algorithm="chunked"), Condition(algorithm="sequential")]
    found = {condition_fingerprint(one) for one in (AS_IT_IS, *noisy, *long)}
    assert len(found) == 7


@pytest.mark.parametrize(
    ("condition", "settings"),
    [
        (Condition(algorithm="chunked"), {"long_form": {"chunk_s": 10.0}}),
        (Condition(algorithm="chunked"), {"long_form": {"stride_s": 1.0}}),
        (Condition(algorithm="sequential"), {"long_form": {"join": False}}),
        (Condition(noise=AddedNoise(kind="white", snr_db=10)), {"noise": {"seed": 1}}),
        (
            Condition(noise=AddedNoise(kind="babble", snr_db=10)),
            {"noise": {"num_babble_speakers": 8}},
        ),
    ],
)
def test_settings_of_a_condition_change_its_fingerprint_alone(
    condition: Condition, settings: dict[str, Any]
) -> None:
    assert condition_fingerprint(condition, **settings) != condition_fingerprint(condition)
    assert condition_fingerprint(AS_IT_IS, **settings) == condition_fingerprint(AS_IT_IS)


def test_the_number_of_sampled_utterances_is_part_of_the_fingerprint() -> None:
    found = {
        condition_fingerprint(Condition(noise=AddedNoise(kind="white", snr_db=0, num_utterances=n)))
        for n in (3, 4)
    }
    assert len(found) == 2


def test_the_chunk_length_does_not_matter_to_what_is_not_cut_into_chunks() -> None:
    sequential = Condition(algorithm="sequential")
    changed_chunks = condition_fingerprint(sequential, long_form={"chunk_s": 10.0})
    assert changed_chunks == condition_fingerprint(sequential)


def test_changed_noise_recordings_are_another_noise(tmp_path: Path) -> None:
    (tmp_path / "rain.wav").write_bytes(b"drops")
    condition = Condition(noise=AddedNoise(kind="rain", snr_db=0))
    settings = {"noise": {"folders": {"rain": str(tmp_path)}}}
    before = condition_fingerprint(condition, **settings)
    assert condition_fingerprint(condition, **settings) == before
    (tmp_path / "rain.wav").write_bytes(b"more drops")
    assert condition_fingerprint(condition, **settings) != before
