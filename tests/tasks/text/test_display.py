"""Hostile text is harmless in every medium, and plain text is as it was."""

import json
import re
import unicodedata

import pytest
from markdown_it import MarkdownIt

from tasks.text.display import json_lines, lines, markdown, markdown_code, one_line

PLAIN = (
    "a plain line",
    "no_audio 1,234",
    "Übung, 音声, नमस्ते\u200d, ម\u200bក",
    "CC-BY-4.0 (v2) 50 %!",
    "-5 dB, #1, 1.5 h, 12:30, @home, www",
)
HOSTILE = (
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J", "a\rb", "\x08\x7f", "\u202eright to left",
    "\u2066isolate\u2069", "\u2028", "half \ud800", "tag \U000e0041", "\ufeffmark", "\nfake line",
)  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_is_unchanged(text: str) -> None:
    assert one_line(text) == lines(text) == json_lines(text) == markdown(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_controls_a_terminal(text: str) -> None:
    for shown in (one_line(text), markdown(text), markdown_code(text)):
        assert {unicodedata.category(one) for one in shown} & {"Cc", "Cs", "Zl"} == set()
        assert not any(unicodedata.bidirectional(one)[1:] in ("LO", "LI", "RI") for one in shown)
        shown.encode()
    assert one_line(one_line(text)) == one_line(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_the_same_value(text: str) -> None:
    written = json_lines(json.dumps([text], indent=1, ensure_ascii=False))
    assert json.loads(written) == [text]
    assert all(one == "\n" or unicodedata.category(one)[0] != "C" for one in written)


def test_lines_stay_lines() -> None:
    assert lines("a\n\x1b[0m\nb") == "a\n\\x1b[0m\nb"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "![x](http://tracker)", "[text](javascript:alert(1))",
        "[text]: http://x", "*a* **b** _c_ __d__ ~~e~~", "`code`", "a | b", "&lt;b&gt;",
        "<https://x>", "\\<b>", "[x][y](z)", "see http://x/y or www.x.org", "a.b@x.org",
        "# heading", "###### six", "#", "- item", "+ item", "* item", "- - -", "---", "-", "1. one",
        "12) twelve", "> quote", "===",
    ],
)  # fmt: skip
def test_markdown_shows_markup_as_text(text: str) -> None:
    """Rendered by a parser of CommonMark, the text is what it was."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    [_, paragraph, _] = parser.parse(markdown(text))
    assert {token.type for token in paragraph.children} <= {"text", "text_special"}
    assert "".join(token.content for token in paragraph.children) == text
    table = parser.parse(f"| a | b |\n| --- | --- |\n| {markdown(text)} | 1 |")
    cells = [token for token in table if token.type == "inline"]
    assert [cell.content for cell in cells][-1] == "1"
    assert len(cells) == 4


@pytest.mark.parametrize("text", ["see http://x", "HTTPS://x", "www.x.org", "WWW.X", "a.b@x.org"])
def test_markdown_splits_addresses_that_would_become_links(text: str) -> None:
    """GitHub looks for them in what is written, except for those of e-mail."""
    assert not re.search(r"\w://|www\.|\w@\w", markdown(text), re.IGNORECASE)


@pytest.mark.parametrize("text", ["---", "===", "-", "- - -"])
def test_markdown_makes_no_heading_of_the_line_before(text: str) -> None:
    opened, *_ = MarkdownIt().parse(f"before\n{markdown(text)}")
    assert opened.type == "paragraph_open"


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "a\nb", "<b>"])
def test_markdown_code_is_one_piece_of_code(text: str) -> None:
    [_, paragraph, _] = MarkdownIt().parse(f"x {markdown_code(text)} y")
    [_, code, _] = paragraph.children
    assert (code.type, code.content.strip()) == ("code_inline", " ".join(text.split()))
