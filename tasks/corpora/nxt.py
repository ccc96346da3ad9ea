"""The XML of the NITE toolkit (NXT), as far as AMI's transcripts need it: stand-off annotation.

Words are elements of one file; a segment of another names the first and the last of them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn
from xml.parsers import expat

_NITE: Final = "http://nite.sourceforge.net/ "
_ID: Final = f"{_NITE}id"
_CHILD: Final = f"{_NITE}child"
_HREF: Final = re.compile(r"[^#]*#id\(([^()]+)\)(?:\.\.id\(([^()]+)\))?")


class NxtError(ValueError):
    """Bytes that are no XML that may be read, or a reference to what is not there."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element; names in a namespace are that, a space, and the local name."""

    tag: str
    attributes: Mapping[str, str]
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # of its own, without its children's


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks in a meeting: the name in the whole corpus, and the headset."""

    name: str
    channel: int


@dataclass(frozen=True, slots=True)
class AlignmentChunk:
    """A transcribed segment: its times as written, and what it says of its words."""

    start: str
    end: str
    hrefs: tuple[str, ...]


def parse(data: bytes) -> Element:
    """The root of a document; raises `NxtError`, also for one that declares a document type.

    Without a document type there are no entities but characters: nothing is expanded or fetched.
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
        raise NxtError("it declares a document type, which no annotation needs")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # also for its encoding
        raise NxtError(str(error)) from error
    return top.children[0]


def speakers(data: bytes) -> dict[tuple[str, str], Speaker]:
    """The speakers of `meetings.xml` by meeting and agent; raises `NxtError`."""
    found = {}
    for meeting in parse(data).children:
        for speaker in meeting.children:
            name, channel = (speaker.attributes.get(key) for key in ("global_name", "channel"))
            if name and channel is not None and channel.isdecimal():
                key = (
                    meeting.attributes.get("observation", ""),
                    speaker.attributes.get("nxt_agent", ""),
                )
                found[key] = Speaker(name, int(channel))
    return found


def stretches(data: bytes) -> Iterator[AlignmentChunk]:
    """The segments of a speaker in a meeting, in the file's order; raises `NxtError`."""
    for element in parse(data).children:
        if element.tag == "segment":
            yield AlignmentChunk(
                element.attributes.get("transcriber_start", ""),
                element.attributes.get("transcriber_end", ""),
                tuple(
                    child.attributes.get("href", "")
                    for child in element.children
                    if child.tag == _CHILD
                ),
            )


class Words:
    """What a speaker says and does in a meeting, in order; raises `NxtError` for other bytes."""

    def __init__(self, data: bytes) -> None:
        self._elements = parse(data).children
        self._places = {
            element.attributes.get(_ID, ""): place for place, element in enumerate(self._elements)
        }

    def text(self, hrefs: Sequence[str]) -> str:
        """The words in these ranges, punctuation joined to the word before it.

        A word that was broken off ends in a hyphen; a dash as punctuation stands by itself. Sounds
        and marks are not words: empty where there is nothing else. Raises `NxtError` for a word
        that there is not.
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
                broken_off = element.attributes.get("trunc") == "true"
                text += f" {written}{'-' if broken_off else ''}"
        return text.strip() if num_words else ""

    def _range(self, href: str) -> Sequence[Element]:
        match = _HREF.fullmatch(href)
        if match is None:
            raise NxtError(f"a reference of another form: {href!r}")
        first, last = match[1], match[2] or match[1]
        for name in (first, last):
            if name not in self._places:
                raise NxtError(f"there is no word {name!r}")
        begin, end = self._places[first], self._places[last]
        if end < begin:
            raise NxtError(f"a range that ends before it begins: {href!r}")
        return self._elements[begin : end + 1]
