"""The model card of a student."""

import ast
import re
from dataclasses import replace
from typing import Any, get_args

import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from storage.manifest import Terms
from tasks.ship.card import render_model_card
from tasks.ship.facts import Comparison, Format, StudentFacts

FORMATS: tuple[Format, ...] = get_args(Format)


def metadata(card: str) -> dict[str, Any]:
    """The metadata at the head of a card."""
    _, head, _ = card.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "# full-3-student",
        "| libri | 4.00 (3.10 to 5.20) | 5.00 (4.20 to 6.30) | 100 |",
        "| all | 5.50 (5.00 to 6.00) | 7.00 (6.50 to 7.50) | 300 |",
        "| speed, teacher = 1 | 1.00 | 5.80 |",
        "Of 301 annotated utterances 300 were measured; excluded: no_audio 1.",
        "| giga/dev | 20.00 |",
        "| libri | 7.50 | 1,500 | 75.0 | CC-BY-4.0 |",
        "| batch_size | 64 | 256 |",
        "- commercial use: allowed by every corpus",
        "Made with python 3.11.7.",
    ],
)
def test_the_card_has_the_line(facts: StudentFacts, line: str) -> None:
    assert line in render_model_card(facts).splitlines()


@pytest.mark.parametrize(
    "words",
    [
        "32 encoder and 2 decoder layers, 756,220,160 parameters",
        "from `openai/whisper-large-v2@abc` on 7.50 hours",
        "weights after update 40 of 80",
        "12.50 % of 1,000 utterances, averaged over the sets",
        "kept only if its word error rate against the reference, where there is one, is at most",
        "at most 10 %",
        "with the digest `{digest}`",
        'from_pretrained("openai/whisper-large-v2", revision="abc")',
    ],
)
def test_the_card_says(facts: StudentFacts, words: str) -> None:
    assert words.format(digest=facts.manifest.digest) in render_model_card(facts)


def test_averaged_weights_are_named(facts: StudentFacts) -> None:
    recorded = {**facts.receipt.recorded, "averaged_steps": [40, 60, 80]}
    averaged = replace(facts, receipt=facts.receipt.model_copy(update={"recorded": recorded}))
    assert "These are the mean weights after updates 40, 60 and 80 of 80," in render_model_card(
        averaged
    )


def test_settings_of_the_paper_are_not_repeated_as_differences(facts: StudentFacts) -> None:
    same = replace(facts, settings={**facts.settings, "batch_size": 256})
    assert "What differs" in render_model_card(facts)
    assert "What differs" not in render_model_card(same)


@pytest.mark.parametrize("format", FORMATS)
def test_the_hub_reads_the_metadata(facts: StudentFacts, format: Format) -> None:
    found = ModelCard(render_model_card(facts, format=format)).data
    assert found.base_model == "openai/whisper-large-v2"
    assert (found.language, found.license, found.datasets) == (
        ["en"], "cc-by-4.0", ["speechcolab/gigaspeech"]
    )  # fmt: skip
    assert found.library_name == {"hf": "transformers"}.get(format, format)
    results = {one.dataset_type: one.metric_value for one in found.eval_results}
    assert results == {"libri": 5.0, "speechcolab/gigaspeech": 8.0}


def test_a_teacher_in_a_folder_has_no_name_on_the_hub(facts: StudentFacts) -> None:
    card = render_model_card(replace(facts, teacher=f"sha256:{'b' * 64}"))
    assert "base_model" not in metadata(card)
    assert "path/of/the/teacher" in card


def test_without_evaluation_and_validation_the_card_says_so(facts: StudentFacts) -> None:
    receipt = facts.receipt.model_copy(update={"recorded": {"validation_wer_percent": None}})
    card = render_model_card(replace(facts, report=None, intervals={}, receipt=receipt))
    assert "It was not evaluated on held-out speech." in card
    assert "There was no validation speech" in card
    assert "model-index" not in metadata(card)


def test_rates_by_set_of_other_weights_are_left_out(facts: StudentFacts) -> None:
    recorded = {**facts.receipt.recorded, "validation_wer_percent": 9.0}
    receipt = facts.receipt.model_copy(update={"recorded": recorded})
    card = render_model_card(replace(facts, receipt=receipt))
    assert "9.00 % of 1,000 utterances." in card
    assert "giga/dev" not in card


@pytest.mark.parametrize("format", FORMATS)
def test_the_code_for_each_format_is_valid_and_names_the_student(
    facts: StudentFacts, format: Format
) -> None:
    card = render_model_card(facts, format=format, location="someone/student")
    blocks = re.findall(r"^```python\n(.*?)^```", card, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        ast.parse(block)
        assert '"someone/student"' in block


def test_a_converted_student_has_its_comparison(facts: StudentFacts) -> None:
    found = Comparison(
        library="ctranslate2 4.8.5", num_windows=16, num_same=15, num_words=300, num_word_errors=2
    )
    card = render_model_card(facts, format="ctranslate2", comparison=found)
    assert "on held-out speech, it writes" in card
    assert "in 15 of 16 windows, with 2 errors in 300 words" in card


def test_faster_whisper_is_named_for_windows_of_30_s_alone(facts: StudentFacts) -> None:
    card = render_model_card(facts, format="ctranslate2")
    short = render_model_card(replace(facts, window_samples=160_000), format="ctranslate2")
    assert "With faster-whisper." in card
    assert "from faster_whisper import" not in short
    assert "needs windows of 30 s, and those of this model have 10 s." in short


def test_what_others_wrote_is_plain_text_in_the_card(facts: StudentFacts) -> None:
    attack = "\x1b[31m\u202e<script>x</script> [a](javascript:b) `c` | d\n# e\n---\n```"
    content = facts.manifest.content.model_copy(
        update={"name": attack, "parameters": {attack: {"label": {"language": attack}}}}
    )
    terms = Terms(name=attack, commercial_use=True, derivatives=True, redistribution=True)
    total = facts.manifest.totals["all"]
    manifest = facts.manifest.model_copy(
        update={
            "content": content,
            "licences": {attack: terms},
            "totals": {attack: total, "all": total},
            "versions": {attack: attack},
        }
    )
    recorded = {**facts.receipt.recorded, "validation_wer_percent_by_set": {attack: 12.5}}
    hostile = replace(
        facts,
        manifest=manifest,
        receipt=facts.receipt.model_copy(update={"recorded": recorded}),
        teacher=attack,
        hub_data={attack: attack},
    )
    card = render_model_card(hostile, location=attack)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", card)
    assert metadata(card)["datasets"] == [attack]
    text = card.split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inner = [one for token in tokens for one in token.children or ()]
    kinds = [one.type for one in [*tokens, *inner]]
    assert not set(kinds) & {"html_block", "html_inline", "link_open", "image"}
    plain = render_model_card(facts).split("\n---\n", 1)[1]
    expected = [one.type for one in MarkdownIt("commonmark").enable("table").parse(plain)]
    for kind in ("heading_open", "table_open", "fence"):
        assert kinds.count(kind) == expected.count(kind) > 0
