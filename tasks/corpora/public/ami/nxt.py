"""Parser for the stand-off annotation of the NITE XML toolkit (NXT), as used by AMI.

Words are elements of one file; a segment in another file refers to its first and last word.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn
from xml.parsers import expat

_NITE: Final = "http://nite.sourceforge.net/ "
_ID: Final = f"{_NITE}id"
_CHILD: Final = f"{_NITE}child"
_MAX_CHANNEL_DIGITS: Final = 3
_HREF: Final = re.compile(r"[^#]*#id\(([^()]+)\)(?:\.\.id\(([^()]+)\))?")


class NxtError(ValueError):
    """Malformed or refused XML, or a reference to a missing element."""


@dataclass(frozen=True, slots=True)
class Element:
    """An XML element; names are the namespace, a space and the local name."""

    tag: str
    attributes: Mapping[str, str]
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # without that of the children


@dataclass(frozen=True, slots=True)
class Speaker:
    """A speaker in a meeting: the global name and the headset."""

    name: str
    channel: int


@dataclass(frozen=True, slots=True)
class NxtSegment:
    """A transcribed segment: its times as written and references to its words."""

    start: str
    end: str
    hrefs: tuple[str, ...]


def parse(data: bytes) -> Element:
    """The root of a document; raises `NxtError`, also if it declares a document type.

    Without a document type there are no custom entities: nothing is expanded or fetched.
    """
    top = Element("", {})
    opened = [top]

    def begin(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes)
        opened[-1].children.append(element)
        opened.append(element)

    def end(_: str) -> None:
        opened.pop()

    def add(text: str) -> None:
        opened[-1].texts.append(text)

    def refuse(*_: object) -> NoReturn:
        raise NxtError("it declares a document type, which annotations do not need")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter: bad encodings
        raise NxtError(str(error)) from error
    return top.children[0]


def speakers(data: bytes) -> dict[tuple[str, str], Speaker]:
    """The speakers of `meetings.xml` by meeting and agent; raises `NxtError`."""
    by_agent = {}
    for meeting in parse(data).children:
        for speaker in meeting.children:
            name, channel = (speaker.attributes.get(key) for key in ("global_name", "channel"))
            if name and channel and channel.isdecimal() and len(channel) <= _MAX_CHANNEL_DIGITS:
                key = (
                    meeting.attributes.get("observation", ""),
                    speaker.attributes.get("nxt_agent", ""),
                )
                by_agent[key] = Speaker(name, int(channel))
    return by_agent


def segments(data: bytes) -> Iterator[NxtSegment]:
    """The segments of a speaker in a meeting, in the file's order; raises `NxtError`."""
    for element in parse(data).children:
        if element.tag == "segment":
            yield NxtSegment(
                element.attributes.get("transcriber_start", ""),
                element.attributes.get("transcriber_end", ""),
                tuple(
                    child.attributes.get("href", "")
                    for child in element.children
                    if child.tag == _CHILD
                ),
            )


class Words:
    """The words and vocal sounds of a speaker in a meeting, in order; raises `NxtError`."""

    def __init__(self, data: bytes) -> None:
        self._elements = parse(data).children
        self._positions = {
            element.attributes.get(_ID, ""): position
            for position, element in enumerate(self._elements)
        }

    def text(self, hrefs: Sequence[str]) -> str:
        """The words in these ranges, with punctuation attached to the preceding word.

        Truncated words end with a hyphen; a dash as punctuation is a token of its own. Empty if
        there are only vocal sounds and punctuation. Raises `NxtError` for a missing word.
        """
        text, num_words = "", 0
        for href in hrefs:
            for element in self._range(href):
                written = "".join(element.texts).strip()
                if element.tag != "w" or not written:
                    continue
                if element.attributes.get("punc") == "true":
                    text += f" {written}" if written == "-" else written
                    continue
                num_words += 1
                is_truncated = element.attributes.get("trunc") == "true"
                text += f" {written}{'-' if is_truncated else ''}"
        return text.strip() if num_words else ""

    def _range(self, href: str) -> Sequence[Element]:
        match = _HREF.fullmatch(href)
        if match is None:
            raise NxtError(f"malformed reference {href!r}")
        first, last = match[1], match[2] or match[1]
        for name in (first, last):
            if name not in self._positions:
                raise NxtError(f"no word {name!r}")
        begin, end = self._positions[first], self._positions[last]
        if end < begin:
            raise NxtError(f"reversed range {href!r}")
        return self._elements[begin : end + 1]
