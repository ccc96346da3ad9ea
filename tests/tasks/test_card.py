"""The card of a manifest: rendered from the manifest alone."""

import re
from typing import Any

import pytest
from markdown_it import MarkdownIt

from storage.manifest import Content, Manifest, Terms, Totals, card_path
from storage.store import Store
from tasks.card import read_card, render_card

OPEN = Terms(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True)
CLOSED = Terms(
    name="Terms | of access",
    commercial_use=False,
    derivatives=False,
    redistribution=True,
    to_sign="a form",
    note="for\nresearch",
)


def totals(**changes: Any) -> Totals:
    values = {
        "shards": 2, "hours_heard": 10.0, "windows_heard": 2000, "windows": 1500,
        "utterances": 1600, "hours": 7.5, "dropped": {"wer": 1234}, "quarantined": {"no_audio": 2},
    }  # fmt: skip
    return Totals(**{**values, **changes})


@pytest.fixture
def published() -> Manifest:
    def settings(revision: str, limit: float) -> dict[str, Any]:
        return {
            "splits": ["train"],
            "plan": {"revision": revision},
            "label": {"teacher": "openai/whisper-large-v2@abc", "language": "en"},
            "filter": {"max_wer_percent": limit},
        }

    content = Content(
        name="full",
        entries=(),
        fingerprints={},
        parameters={"libri": settings("r1", 10.0), "giga": settings("r2", 7.5)},
        missing_shards=("label giga/l/00003",),
    )
    return Manifest(
        number=3,
        parent=2,
        digest=content.digest(),
        published_at="2026-01-02T03:04:05+00:00",
        root="s3://bucket/prefix",
        versions={"python": "3.11.7", "torch": "2.13.0"},
        licences={"libri": OPEN, "giga": CLOSED},
        totals={"libri": totals(), "giga": totals(hours=2.5), "all": totals()},
        content=content,
    )


@pytest.mark.parametrize(
    "line",
    [
        "# full 3",
        "| libri | 2 | 1,500 | 1,600 | 7.50 | 10.00 | 75.0 |",
        "| giga | wer 1,234 | no_audio 2 |",
        "| giga | Terms \\| of access | no | no | yes | a form | for research |",
        "- commercial use: not allowed, because of giga",
        "- redistribution of audio or text: allowed by every corpus",
        '| plan.revision | libri | "r1" |',
        "| filter.max_wer_percent | giga | 7.5 |",
        ' "label.teacher": "openai/whisper-large-v2@abc"',
        "**Not complete**: 1 planned shards are missing: label giga/l/00003.",
        "Made with python 3.11.7, torch 2.13.0.",
    ],
)
def test_the_card_has_the_line(published: Manifest, line: str) -> None:
    assert any(found.rstrip(",") == line for found in render_card(published).splitlines())


def test_the_card_names_the_teacher_and_the_threshold(published: Manifest) -> None:
    text = render_card(published)
    assert "The teacher is `openai/whisper-large-v2@abc`." in text
    assert "at most 7.5 % and 10 %" in text
    assert "manifest export CONFIG 3 --to hf" in text


def test_what_others_wrote_is_plain_text_in_the_card(published: Manifest) -> None:
    attack = "\x1b[31m\u202e<script>x</script> [a](javascript:b) `c` | d\n# e"
    terms = CLOSED.model_copy(update={"name": attack, "note": attack, "to_sign": attack})
    settings = {"label": {"teacher": attack}, "plan": {"revision": attack}}
    content = published.content.model_copy(
        update={"name": attack, "parameters": {"libri": settings}, "missing_shards": (attack,)}
    )
    hostile = published.model_copy(
        update={"licences": {"libri": terms}, "versions": {attack: attack}, "content": content}
    )
    card = render_card(hostile)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", card)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card)
    inner = [one for token in tokens for one in token.children or ()]
    kinds = {one.type for one in [*tokens, *inner]}
    assert not kinds & {"html_block", "html_inline", "link_open", "image"}
    assert sum(one.type == "table_open" for one in tokens) == 4
    headings = [
        tokens[at + 1].content for at, one in enumerate(tokens) if one.type == "heading_open"
    ]
    assert "e" not in headings
    assert len(headings) == len(re.findall("^#", render_card(published), re.MULTILINE))


def test_a_stored_manifest_renders_to_the_same_card(published: Manifest) -> None:
    stored = Manifest.parse(published.model_dump_json().encode(), "x")
    assert render_card(stored) == render_card(published)
    assert render_card(published).endswith(".\n")


def test_a_card_is_read_from_the_store_or_rendered(published: Manifest, store: Store) -> None:
    assert read_card(store, published) == render_card(published)
    store.put_if_absent(card_path("full", 3), b"as published.\n")
    assert read_card(store, published) == "as published.\n"
