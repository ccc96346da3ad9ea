"""A demo corpus in the distribution format of Switchboard-1: four discs and the ISIP transcripts.

A call is a mu-law file at 8 kHz; the transcript of each side covers it without gaps.

Defects (see `tasks.demo.speech.utterances`), in train only: a turn without words, one longer than
the teacher's window, wrong transcripts; in addition a call with truncated audio and one without
audio, with one turn each. Edge cases, in train only: laughed, mispronounced and coined words, word
fragments, a numbered variant, a turn of laughter, and a header that counts the samples of both
channels. In all parts, the time between turns is transcribed as `[silence]`.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from tasks.demo.formats.archives import Archive, Member, Tree
from tasks.demo.formats.sphere import sphere_file
from tasks.demo.speech.conversations import (
    LINE_RATE_HZ,
    QUIET_S,
    Call,
    Turn,
    call_names,
    defects_by_call,
    record_call,
)

TRANSCRIPTS = "switchboard_word_alignments.tar.gz"
_ROOT = "swb_ms98_transcriptions"
_CALL = "sw0{:04d}"
_FIRST_CALL = 9_001
_FIRST_PIN = 1_001
_LAUGHTER_S = 1.5
_README = (
    b"Synthetic speech in the layout of Switchboard, made by Distillery's demo with espeak-ng.\n"
)


def switchboard_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Archive | Tree, ...]:
    """The discs, then the transcripts; these are generated together with the discs.

    `on_utterance` is called after each utterance.
    """
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    transcripts: list[Member] = []
    discs = Tree(members=partial(_discs, seed, sizes, on_utterance, transcripts))
    return discs, Archive(name=TRANSCRIPTS, members=partial(iter, transcripts))


def _discs(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None], transcripts: list[Member]
) -> Iterator[Member]:
    """The audio, alternating between discs, and the table of callers; fills `transcripts`."""
    transcripts[:] = [Member(path=f"{_ROOT}/AAREADME.text", content=_README)]
    table = ["conv_no,active,caller_from,caller_to,ivi_no"]
    num_calls = 0
    for split, num_turns in sizes.items():
        is_train = split == "train"
        names = call_names(_CALL, _FIRST_CALL, split)
        for index, defects in enumerate(defects_by_call(num_turns, with_defects=is_train)):
            pins = (_FIRST_PIN + 2 * num_calls, _FIRST_PIN + 2 * num_calls + 1)
            voices = (f"switchboard {pins[0]}", f"switchboard {pins[1]}")
            name = next(names)
            rng = np.random.default_rng([seed, int(name[3:])])
            has_edges = is_train and index == 0
            quiet_s = QUIET_S + (_LAUGHTER_S if has_edges else 0.0)
            call = record_call(name, voices, defects, rng, on_utterance, quiet_s)
            if is_train:
                call = _with_transcriber_marks(call)
            whole = _with_laughter(call) if has_edges else call
            folder = f"swb1_d{1 + num_calls % 4}/data"
            counts_both = is_train and index == 1
            yield Member(path=f"{folder}/{call.name}.sph", content=_sph(call, counts_both))
            transcripts += _both_sides(whole)
            table.append(f"{call.name[3:]},Y,{pins[0]},{pins[1]},303")
            if has_edges:
                lost = replace(call, turns=call.turns[:1])
                broken, audio = replace(lost, name=next(names)), _sph(call)
                yield Member(path=f"{folder}/{broken.name}.sph", content=audio[: len(audio) // 2])
                transcripts += [*_both_sides(broken), *_both_sides(replace(lost, name=next(names)))]
            num_calls += 1
    yield Member(path="docs/conv_tab.csv", content="".join(f"{row}\n" for row in table).encode())


def _with_transcriber_marks(call: Call) -> Call:
    """The call with the marks of the ISIP transcripts in its turns, one kind per turn."""
    marks = (
        lambda words: [f"[laughter-{words[0]}]", *words[1:]],
        lambda words: [*words[:-1], f"[{words[-1][:-1]}/{words[-1]}]"],
        lambda words: ["-[th]at", *words],
        lambda words: [*words[:-1], f"{{{words[-1]}}}"],
        lambda words: [f"{words[0]}_1", *words[1:]],
    )
    turns = (
        replace(turn, text=" ".join(marks[index % len(marks)](turn.text.split())))
        if turn.text
        else turn
        for index, turn in enumerate(call.turns)
    )
    return replace(call, turns=tuple(turns))


def _with_laughter(call: Call) -> Call:
    """The call with a turn of laughter in the silence at its end."""
    start_s = max(turn.end_s for turn in call.turns) + 0.1
    laughter = Turn(
        side="A", start_s=start_s, end_s=start_s + _LAUGHTER_S, text="[laughter]", defect=None
    )
    return replace(call, turns=(*call.turns, laughter))


def _sph(call: Call, counts_both: bool = False) -> bytes:
    """The SPHERE file; a header of the first release counts the samples of both channels."""
    fields = {"database_id": "-s13 SWITCHBOARD-1", "conversation_id": f"-s4 {call.name[3:]}"}
    if counts_both:
        fields["sample_count"] = f"-i {call.samples.size}"
    return sphere_file(call.samples, LINE_RATE_HZ, coding="ulaw", fields=fields)


def _both_sides(call: Call) -> Iterator[Member]:
    number = call.name[3:]
    for side in "AB":
        lines = []
        for index, (start_s, end_s, text) in enumerate(_tiles(call, side), start=1):
            utterance_id = f"sw{number}{side}-ms98-a-{index:04d}"
            lines.append(f"{utterance_id} {start_s:.6f} {end_s:.6f} {text}".strip() + "\n")
        path = f"{_ROOT}/{number[:2]}/{number}/sw{number}{side}-ms98-a-trans.text"
        yield Member(path=path, content="".join(lines).encode())


def _tiles(call: Call, side: str) -> Iterator[tuple[float, float, str]]:
    """Start, end and text of the turns of a side and of the silences between them."""
    position_s = 0.0
    for turn in call.turns:
        if turn.side == side:
            yield position_s, turn.start_s, "[silence]"
            yield turn.start_s, turn.end_s, turn.text
            position_s = turn.end_s
    yield position_s, call.duration_s, "[silence]"
