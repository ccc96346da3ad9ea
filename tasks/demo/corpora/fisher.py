"""A demo corpus in the distribution format of Fisher English: four deliveries in one folder.

Train is in part 1, dev and test in part 2; a call is a mu-law file under Shorten at 8 kHz.

Defects (see `tasks.demo.speech.utterances`), in train only: a turn without words, one longer than
the teacher's window, wrong transcripts; in addition a call with truncated audio and one without
audio, with one turn each. Edge cases, in train only: at the end of the first call turns that are
unintelligible, skipped, in German and without words; uncertain words, word fragments, a rare name;
headers of two and three lines; a PIN shared by two people.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tasks.demo.formats.archives import Member, Tree
from tasks.demo.formats.sphere import SHORTEN, sphere_file
from tasks.demo.speech.conversations import (
    LINE_RATE_HZ,
    QUIET_S,
    Call,
    Turn,
    call_names,
    defects_by_call,
    record_call,
)

_CALL = "fe_03_{:05d}"
_FIRST_CALL = {"train": 0, "dev": 10_000, "test": 10_000}
_PART = {"train": 1, "dev": 2, "test": 2}
_WITHOUT_WORDS = ("(( ))", "[[skip]]", "<german ja wohl >", "[laughter]")
_WITHOUT_WORDS_S = 1.5
_SHARED_PIN = 10_001
_HEADER = (
    "CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,APIN,ASX.DL,APHNUM,APHSET,APHTYP,"
    "BPIN,BSX.DL,BPHNUM,BPHSET,BPHTYP"
)
_README = b"Synthetic speech in the layout of Fisher, made by Distillery's demo with espeak-ng.\n"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The speaker of one side."""

    pin: int
    sex: str

    @property
    def voice(self) -> str:
        """The name of the voice; people who share a PIN have different voices."""
        return f"fisher {self.pin}{self.sex}"


def fisher_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Tree, ...]:
    """The tree of files; `on_utterance` is called after each utterance."""
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    return (Tree(members=partial(_members, seed, sizes, on_utterance)),)


def _members(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    """Audio and transcript of each call, then the tables of each part."""
    tables: dict[int, list[str]] = {1: [], 2: []}
    sexes: dict[int, list[str]] = {1: [], 2: []}
    yield Member(path="README", content=_README)
    for split_index, (split, num_turns) in enumerate(sizes.items()):
        is_train, part = split == "train", _PART[split]
        names = call_names(_CALL, _FIRST_CALL[split], split)
        for index, defects in enumerate(defects_by_call(num_turns, with_defects=is_train)):
            callers = _callers(split_index, index)
            name = next(names)
            rng = np.random.default_rng([seed, int(name[6:])])
            has_edges = is_train and index == 0
            extra_s = _WITHOUT_WORDS_S * len(_WITHOUT_WORDS) if has_edges else 0.0
            voices = (callers[0].voice, callers[1].voice)
            call = record_call(name, voices, defects, rng, on_utterance, QUIET_S + extra_s)
            if is_train:
                call = _with_transcriber_marks(call)
            whole = _with_wordless_turns(call) if has_edges else call
            audio = _sph(call)
            yield _audio_member(part, call.name, audio)
            yield _transcript(part, whole, num_header_lines=3 - index % 2)
            tables[part].append(_table_row(call.name, callers))
            sexes[part].append(f"{_disc(part)} {call.name}.sph {callers[0].sex}{callers[1].sex}")
            if has_edges:
                lost = replace(call, turns=call.turns[:1])
                broken = replace(lost, name=next(names))
                yield _audio_member(part, broken.name, audio[: len(audio) // 2])
                yield _transcript(part, broken)
                yield _transcript(part, replace(lost, name=next(names)))
    for part, rows in tables.items():
        path = f"fe_03_p{part}_tran/doc/fe_03_p{part}_calldata.tbl"
        yield Member(path=path, content="".join(f"{row}\n" for row in (_HEADER, *rows)).encode())
        listing = f"{_disc(part)}/{'filetable.txt' if part == 1 else 'docs/filetable2.txt'}"
        content = "".join(f"{line}\n" for line in sexes[part]).encode()
        yield Member(path=listing, content=content)


def _callers(split_index: int, index: int) -> tuple[Caller, Caller]:
    """The two speakers of a call; in the second call of train, a man uses a woman's PIN."""
    pins = (_SHARED_PIN + 1_000 * split_index + 2 * index + side for side in range(2))
    first, second = (Caller(pin=pin, sex="fm"[pin % 2 == 0]) for pin in pins)
    if (split_index, index) == (0, 1):
        second = Caller(pin=_SHARED_PIN, sex="m")
    return first, second


def _with_transcriber_marks(call: Call) -> Call:
    """The call with transcriber marks in its turns, one kind per turn."""
    marks = (
        lambda words: [*words[:-1], "((", words[-1], "))"],
        lambda words: [f"{words[0][0]}-", *words],
        lambda words: [*words, "[laughter]"],
        lambda words: [*words[:-1], f"~{words[-1]}"],
    )
    turns = (
        replace(turn, text=" ".join(marks[index % len(marks)](turn.text.split())))
        if turn.text
        else turn
        for index, turn in enumerate(call.turns)
    )
    return replace(call, turns=tuple(turns))


def _with_wordless_turns(call: Call) -> Call:
    """The call with one turn of each kind without words, in the silence at its end."""
    start_s = max(turn.end_s for turn in call.turns) + 0.1
    turns = (
        Turn(
            side="AB"[index % 2],
            start_s=start_s + index * _WITHOUT_WORDS_S,
            end_s=start_s + (index + 1) * _WITHOUT_WORDS_S,
            text=text,
            defect=None,
        )
        for index, text in enumerate(_WITHOUT_WORDS)
    )
    return replace(call, turns=(*call.turns, *turns))


def _sph(call: Call) -> bytes:
    return sphere_file(
        call.samples,
        LINE_RATE_HZ,
        coding=f"ulaw,{SHORTEN}",
        fields={"conversation_id": f"-s{len(call.name)} {call.name}"},
    )


def _disc(part: int) -> str:
    return f"fe_03_p{part}_sph1"


def _audio_member(part: int, name: str, content: bytes) -> Member:
    return Member(path=f"{_disc(part)}/audio/{name[6:9]}/{name}.sph", content=content)


def _transcript(part: int, call: Call, num_header_lines: int = 3) -> Member:
    """A transcript; with three header lines, as by the LDC, an empty line precedes each turn."""
    lines = [f"# {call.name}.sph", "# Transcribed at the LDC" if num_header_lines == 3 else "# BBN"]
    turns = [
        f"{turn.start_s:.2f} {turn.end_s:.2f} {turn.side}: {turn.text}".strip()
        for turn in call.turns
    ]
    lines += [line for turn in turns for line in ("", turn)] if num_header_lines == 3 else turns
    path = f"fe_03_p{part}_tran/data/trans/{call.name[6:9]}/{call.name}.txt"
    return Member(path=path, content=("\n".join(lines) + "\n").encode())


def _table_row(name: str, callers: tuple[Caller, Caller]) -> str:
    sides = (f"{caller.pin},{caller.sex}.a,{caller.pin % 9973:04d}X,4,3" for caller in callers)
    return ",".join((name[6:], "20030101 12:00:00", "ENG01", "3", "3", *sides))
