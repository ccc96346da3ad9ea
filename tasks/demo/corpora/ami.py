"""A demo corpus in the distribution format of AMI: a folder of annotations, a folder of recordings.

The meeting names are real, since they determine the split; the speakers are synthetic. A segment
counts as two utterances: on the speaker's headset and on the table microphone.

Defects (see `tasks.demo.speech.utterances`), in train only: an unreadable headset file and a
missing one, with one segment each; a segment without words, one longer than the teacher's window,
wrong transcripts. Edge cases, in the first meeting: a non-ASCII letter, a word without times, a
truncated word and a vocal sound among words; a segment with a single word; reversed times;
overlapping speech; a stereo headset.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from tasks.audio.libsndfile import soundfile
from tasks.corpora.public.ami.meetings import MEETINGS
from tasks.demo.formats.archives import Member, Tree
from tasks.demo.speech.meetings import Meeting, Turn, record_meeting
from tasks.demo.speech.prose import as_prose
from tasks.demo.speech.utterances import Defect, FloatArray, Utterance, defect_at, pcm16, utterance
from tasks.demo.speech.voices import SAMPLE_RATE_HZ, synthesise, voice_of_speaker

SEGMENTS_A_MEETING: Final = 25
_ANNOTATIONS: Final = "ami_public_manual_1.6.2"
_HEAD: Final = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
_NITE: Final = 'xmlns:nite="http://nite.sourceforge.net/"'
# Margin of a segment around its speech.
_MARGIN_S: Final = 0.1

# Segments of the first meeting of train, counted from 0.
_WITH_EVERY_MARK, _REVERSED, _SINGLE_WORD = 0, 3, 5
_WORD: Final = "yellow"
_INTERRUPTS_EVERY: Final = 8  # from 1 on
_STEREO_HEADSET: Final = 1
# They have one segment each, so that their defects affect no others.
_HEADSET_OF_DEFECT: Final = {Defect.MISSING_AUDIO: 3, Defect.UNREADABLE_AUDIO: 4}


@dataclass(frozen=True)
class _Annotations:
    """The XML elements of one speaker in one meeting."""

    key: str  # meeting and agent
    words: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)


def ami_archives(
    seed: int, num_train_utterances: int, num_eval_utterances: int, on_utterance: Callable[[], None]
) -> tuple[Tree, ...]:
    """The tree of files; `on_utterance` is called twice per segment, once for an odd last one."""
    sizes = {"train": num_train_utterances, "dev": num_eval_utterances, "test": num_eval_utterances}
    return (Tree(members=partial(_members, seed, sizes, on_utterance)),)


def _members(
    seed: int, sizes: dict[str, int], on_utterance: Callable[[], None]
) -> Iterator[Member]:
    """The files of each meeting, then the table of speakers."""
    meetings: list[str] = []
    for part_index, (part, num_utterances) in enumerate(sizes.items()):
        num_segments = (num_utterances + 1) // 2
        for place, first in enumerate(range(0, num_segments, SEGMENTS_A_MEETING)):
            rng = np.random.default_rng([seed, part_index, place])
            name, is_first = MEETINGS[part][place], part == "train" and first == 0
            turns: list[Turn] = []
            num_headsets = 5 if is_first else 4
            for index in range(first, min(first + SEGMENTS_A_MEETING, num_segments)):
                turns.append(_turn(name, part, index, rng, is_first=is_first))
                for _ in range(min(2, num_utterances - 2 * index)):
                    on_utterance()
            meeting = record_meeting(turns, num_headsets, rng)
            meetings.append(_entry(name, num_headsets))
            yield from _annotation_files(name, turns, meeting, is_first=is_first)
            yield from _recordings(name, meeting, turns, rng, is_first=is_first)
    yield _xml("corpusResources/meetings.xml", meetings)


def _turn(meeting: str, part: str, index: int, rng: np.random.Generator, *, is_first: bool) -> Turn:
    defect = defect_at(index) if part == "train" else None
    # the wearer of a missing or broken headset has no other segment
    headset = (_HEADSET_OF_DEFECT.get(defect) if defect else None) if is_first else None
    if headset is None:
        headset = index % (3 if is_first else 4)
    voice = f"ami {_speaker(meeting, headset)}"
    if is_first and index == _SINGLE_WORD:
        speech = Utterance(
            samples=synthesise(_WORD, voice_of_speaker(voice)), transcript=_WORD, defect=None
        )
    else:
        speech = utterance(voice, rng, defect)
    interrupts = part == "train" and index % _INTERRUPTS_EVERY == 1
    return Turn(headset=headset, utterance=speech, interrupts=interrupts)


def _speaker(meeting: str, headset: int) -> str:
    """The global name of a speaker, who takes part in a series of meetings."""
    return f"{'FM'[headset % 2]}EE{meeting[4:6]}{headset}"


def _entry(meeting: str, num_headsets: int) -> str:
    speakers = "".join(
        f'<speaker nxt_agent="{"ABCDE"[headset]}" global_name="{_speaker(meeting, headset)}"'
        f' channel="{headset}"/>'
        for headset in range(num_headsets)
    )
    return f'<meeting observation="{meeting}">{speakers}</meeting>'


def _annotation_files(
    meeting: str, turns: list[Turn], recorded: Meeting, *, is_first: bool
) -> Iterator[Member]:
    agents = [_Annotations(f"{meeting}.{agent}") for agent in "ABCDE"[: len(recorded.headsets)]]
    for number, (turn, start_s) in enumerate(zip(turns, recorded.starts_s, strict=True)):
        agent = agents[turn.headset]
        first = len(agent.words)
        with_marks = is_first and number == _WITH_EVERY_MARK
        for element in _words(turn.utterance, start_s, with_marks=with_marks):
            name = f"{agent.key}.words{len(agent.words)}"
            agent.words.append(element.replace(" ", f' nite:id="{name}" ', 1).replace('" >', '">'))
        times_s = [start_s - _MARGIN_S, start_s + turn.utterance.duration_s + _MARGIN_S]
        if is_first and number == _REVERSED:
            times_s.reverse()
        agent.segments.append(_segment(agent, number, turn.headset, first, times_s))
    for agent in agents:
        yield _xml(f"words/{agent.key}.words.xml", agent.words)
        yield _xml(f"segments/{agent.key}.segments.xml", agent.segments)


def _segment(
    agent: _Annotations, number: int, channel: int, first: int, times_s: list[float]
) -> str:
    href = f"{agent.key}.words.xml#id({agent.key}.words{first})"
    if len(agent.words) > first + 1:
        href += f"..id({agent.key}.words{len(agent.words) - 1})"
    return (
        f'<segment nite:id="{agent.key.partition(".")[0]}.sync.{number}" channel="{channel}"'
        f' transcriber_start="{times_s[0]:.3f}" transcriber_end="{times_s[1]:.3f}">'
        f'<nite:child href="{href}"/></segment>'
    )


def _words(speech: Utterance, start_s: float, *, with_marks: bool) -> Iterator[str]:
    """Word elements with a space after the tag name; laughter if there are no words."""
    written = as_prose(speech.transcript).removesuffix(".").split()
    if not written:
        yield f'<vocalsound starttime="{start_s:.2f}" endtime="{start_s:.2f}" type="laugh"/>'
        return
    each_s = speech.duration_s / len(written)
    end_s = start_s + speech.duration_s
    for place, word in enumerate(written):
        times = _times(start_s + place * each_s, start_s + (place + 1) * each_s)
        if with_marks and place == 1:
            yield f'<w {times} trunc="true">{escape(word[:1])}</w>'
            yield f'<vocalsound {times} type="laugh"/>'
        yield f"<w {times}>{escape(word)}</w>"
    if with_marks:
        yield "<w >ol\xe9</w>"
    if len(written) > 1:
        yield f'<w {_times(end_s, end_s)} punc="true">.</w>'


def _times(start_s: float, end_s: float) -> str:
    return f'starttime="{start_s:.2f}" endtime="{end_s:.2f}"'


def _recordings(
    name: str, recorded: Meeting, turns: list[Turn], rng: np.random.Generator, *, is_first: bool
) -> Iterator[Member]:
    defects = {turn.headset: turn.utterance.defect for turn in turns} if is_first else {}
    for headset, samples in enumerate(recorded.headsets):
        if is_first and headset == _STEREO_HEADSET:
            hiss = 0.001 * rng.standard_normal(samples.size).astype(np.float32)
            samples = np.stack([samples, hiss], axis=1)
        wave = _wave(samples)
        if defects.get(headset) is Defect.UNREADABLE_AUDIO:
            wave = wave[:4] + bytes(byte ^ 0xFF for byte in wave[4:])
        if defects.get(headset) is not Defect.MISSING_AUDIO:
            path = f"amicorpus/{name}/audio/{name}.Headset-{headset}.wav"
            yield Member(path=path, content=wave)
    path = f"amicorpus/{name}/audio/{name}.Array1-01.wav"
    yield Member(path=path, content=_wave(recorded.table))


def _wave(samples: FloatArray) -> bytes:
    """16-bit WAV at 16 kHz from (n,) or (n, channels)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm16(samples), SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _xml(path: str, elements: list[str]) -> Member:
    lines = "\n".join(f"   {element}" for element in elements)
    document = f"{_HEAD}<nite:root {_NITE}>\n{lines}\n</nite:root>\n"
    return Member(path=f"{_ANNOTATIONS}/{path}", content=document.encode("iso-8859-1"))
