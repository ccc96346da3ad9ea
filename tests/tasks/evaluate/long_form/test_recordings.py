import numpy as np

from storage.outcome import Rejected, quarantined
from tasks.corpora.base import NoReference
from tasks.evaluate.long_form.recordings import joined_recordings
from tasks.text.comparison import normaliser
from tasks.whisper.streaming import Utterance

ENGLISH = normaliser("english")


def clean(raw_text):
    return NoReference("marked_as_noise") if raw_text == "IGNORE" else raw_text


def utterance(id, recording_id="tape", *, speaker_id="ann", raw_text="THE BOAT", length=3):
    samples = np.full(length, sum(id.encode()), np.float32)
    return Utterance(id, recording_id, speaker_id, raw_text, samples)


def joined(*utterances, **options):
    return list(joined_recordings(utterances, clean, ENGLISH, **options))


def test_consecutive_utterances_of_a_recording_are_joined_in_their_order():
    a, b, c = utterance("a", length=2), utterance("b", raw_text="Sank."), utterance("c", "disc")
    (tape, samples), (disc, _) = joined(a, b, c)
    assert (tape.id, tape.utterance_ids, tape.speaker_id) == ("tape", ("a", "b"), "ann")
    assert (tape.raw_texts, tape.reference) == (("THE BOAT", "Sank."), "the boat sank")
    assert samples.tolist() == [*a.samples, *b.samples]
    assert tape.num_samples == 5
    assert (disc.id, disc.utterance_ids) == ("disc", ("c",))


def test_several_speakers_are_no_speaker():
    ((recording, _),) = joined(utterance("a"), utterance("b", speaker_id="bob"))
    assert recording.speaker_id is None
    ((recording, _),) = joined(utterance("a", speaker_id=None))
    assert recording.speaker_id is None


def test_utterances_without_a_reference_are_left_out_with_their_audio():
    items = joined(
        utterance("a"),
        utterance("b", raw_text="IGNORE"),
        utterance("c", raw_text="uh, hmm"),
        quarantined("d", "unreadable_audio"),
        utterance("e"),
        utterance("f", "hum", raw_text="hmm"),
    )
    rejected = [(one.id, one.reason) for one in items if isinstance(one, Rejected)]
    assert rejected == [
        ("b", "marked_as_noise"),
        ("c", "empty_reference"),
        ("d", "unreadable_audio"),
        ("f", "empty_reference"),
    ]
    ((recording, samples),) = [one for one in items if not isinstance(one, Rejected)]
    assert recording.utterance_ids == ("a", "e")
    assert samples.tolist() == [*utterance("a").samples, *utterance("e").samples]


def test_a_number_may_span_two_utterances():
    ((recording, _),) = joined(utterance("a", raw_text="TWENTY"), utterance("b", raw_text="ONE"))
    assert recording.reference == "21"


def test_a_recording_that_comes_up_again_gets_a_number():
    names = ["tape", "disc", "tape", "tape#2", "tape"]
    items = joined(*(utterance(str(index), name) for index, name in enumerate(names)))
    assert [one.id for one, _ in items] == ["tape", "disc", "tape#2", "tape#2#2", "tape#3"]


def test_without_joining_each_utterance_is_a_recording():
    items = joined(utterance("a"), utterance("b"), join=False)
    assert [(one.id, one.utterance_ids) for one, _ in items] == [("a", ("a",)), ("b", ("b",))]


def test_a_recording_is_yielded_before_the_utterances_after_the_next_are_read():
    taken = []

    def watched():
        for index in range(100):
            taken.append(index)
            yield utterance(str(index), str(index // 5))

    next(joined_recordings(watched(), clean, ENGLISH))
    assert len(taken) == 6
