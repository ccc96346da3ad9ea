r"""Text from outside, made harmless for the medium in which it is shown: one function for each.

Names, transcripts, licences and messages come from corpora, archives and servers. In a terminal
their control characters could move the cursor or reorder what stands around them; in Markdown they
could be links, images and HTML. Every renderer passes what it shows through one of these functions.
Characters that control something are shown as escapes, such as \x1b, and none is lost.
"""

import re
from typing import Final

_CONTROL: Final = re.compile(
    "["
    "\x00-\x08\x0a-\x1f\x7f-\x9f"  # C0 without the tab, DEL, and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # line ends, invisible signs
    "\ud800-\udfff"  # halves of characters, which no file can contain
    "\U000e0000-\U000e007f"  # tags, an invisible alphabet
    "]"
)
_SHORT: Final = {"\n": "\\n", "\r": "\\r"}
_MARKUP: Final = re.compile(
    r"[\\`*~|<>&]"
    r"|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"  # inside a word it is a plain character
    r"|(?<=\])[(\[:]"  # without which brackets are no link
    r"|:(?=//)|(?<=[Ww][Ww][Ww])\.|(?<=[\w.+-])@(?=[\w-])"  # addresses, which would be links
)
_BLOCK: Final = re.compile(
    r"^(?:(?=#{1,6}(?: |$)|[-+] |[-+]$|-[- ]*$|=+$)"  # headings, items, rules
    r"|(\d{1,9})(?=[.)](?: |$)))"  # numbered items
)
_LARGEST_BYTE: Final = 0xFF
_LARGEST_IN_FOUR_DIGITS: Final = 0xFFFF


def one_line(text: str) -> str:
    r"""Text for a terminal or a log, on one line.

    >>> print(one_line("\x1b[31mred\nfake line\u202e"))
    \x1b[31mred\nfake line\u202e
    """
    return _CONTROL.sub(lambda found: _escape(found[0]), text)


def lines(text: str) -> str:
    r"""The same for text of several lines, such as a traceback or a document.

    >>> print(lines("red:\n\x1b[31m"))
    red:
    \x1b[31m
    """
    return "\n".join(map(one_line, text.split("\n")))


def json_lines(text: str) -> str:
    r"""JSON for a terminal: the same document, with control characters as JSON writes them.

    >>> print(json_lines('{"text": "\u202e"}'))
    {"text": "\u202e"}
    """
    return "\n".join(_CONTROL.sub(lambda found: _json(found[0]), line) for line in text.split("\n"))


def markdown(text: str) -> str:
    r"""Text in a paragraph, a list or a table cell of Markdown, on one line and without markup.

    It begins no heading or item, and addresses of the web are no links. Addresses of e-mail are
    escaped too, but GitHub links them all the same: it looks for them in the text that is shown.

    >>> print(markdown("CC-BY | [click](javascript:x) <b>\n# no_audio"))
    CC-BY \| [click]\(javascript:x) \<b\> # no_audio
    """
    escaped = _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
    return one_line(_BLOCK.sub(r"\g<0>\\", escaped))


def markdown_code(text: str) -> str:
    r"""Text as code in a paragraph of Markdown.

    >>> print(markdown_code("openai/whisper"), markdown_code("a`b"))
    `openai/whisper` `` a`b ``
    """
    plain = one_line(" ".join(text.split()))
    if "`" not in plain:
        return f"`{plain}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", plain))))
    return f"{fence} {plain} {fence}"


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= _LARGEST_BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LARGEST_IN_FOUR_DIGITS else f"\\U{code:08x}"


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
