import numpy as np

from storage.outcome import Rejected, quarantined
from tasks.evaluate.long_form.recordings import join_recordings
from tasks.evaluate.spoken import Spoken
from tasks.text.comparison import normaliser

ENGLISH = normaliser("english")


def utterance(id, recording_id="tape", *, speaker_id="ann", text="THE BOAT", length=3):
    spoken = Spoken(
        id=id,
        utterance_ids=(id,),
        recording_id=recording_id,
        speaker_id=speaker_id,
        num_samples=length,
        text=text,
        reference=ENGLISH(text),
    )
    return spoken, np.full(length, sum(id.encode()), np.float32)


def joined(*utterances, **options):
    return list(join_recordings(iter(utterances), ENGLISH, **options))


def test_consecutive_utterances_of_a_recording_are_joined_in_their_order():
    a, b, c = utterance("a", length=2), utterance("b", text="Sank."), utterance("c", "disc")
    (tape, samples), (disc, _) = joined(a, b, c)
    assert (tape.id, tape.utterance_ids, tape.speaker_id) == ("a", ("a", "b"), "ann")
    assert (tape.text, tape.reference) == ("THE BOAT Sank.", "the boat sank")
    assert samples.tolist() == [*a[1], *b[1]]
    assert tape.num_samples == 5
    assert (disc.id, disc.utterance_ids) == ("c", ("c",))


def test_several_speakers_are_no_speaker():
    ((recording, _),) = joined(utterance("a"), utterance("b", speaker_id="bob"))
    assert recording.speaker_id is None
    ((recording, _),) = joined(utterance("a", speaker_id=None))
    assert recording.speaker_id is None


def test_rejected_rows_pass_through_without_ending_a_recording():
    items = joined(utterance("a"), quarantined("d", "unreadable_audio"), utterance("e"))
    assert [one.id for one in items if isinstance(one, Rejected)] == ["d"]
    ((recording, samples),) = [one for one in items if not isinstance(one, Rejected)]
    assert recording.utterance_ids == ("a", "e")
    assert samples.tolist() == [*utterance("a")[1], *utterance("e")[1]]


def test_recordings_that_fit_into_a_window_are_dropped_by_utterance():
    utterances = utterance("a"), utterance("b"), utterance("c", "disc", length=7)
    *rejected, (recording, _) = joined(*utterances, longer_than=6)
    assert [(one.id, one.reason) for one in rejected] == [
        ("a", "not_long_form"),
        ("b", "not_long_form"),
    ]
    assert recording.recording_id == "disc"


def test_a_number_may_span_two_utterances():
    ((recording, _),) = joined(utterance("a", text="TWENTY"), utterance("b", text="ONE"))
    assert recording.reference == "21"


def test_parts_of_a_recording_have_different_ids():
    """Parts are in one shard or in two, as those of AMI, whose files are planned by themselves."""
    shards = ["tape", "disc", "tape"], ["tape", "tape"]
    numbers = iter("abcde")
    items = [joined(*(utterance(next(numbers), name) for name in names)) for names in shards]
    assert [[one.id for one, _ in of_shard] for of_shard in items] == [["a", "b", "c"], ["d"]]


def test_without_joining_each_utterance_is_a_recording():
    items = joined(utterance("a"), utterance("b"), join=False)
    assert [(one.id, one.utterance_ids) for one, _ in items] == [("a", ("a",)), ("b", ("b",))]


def test_a_recording_is_yielded_before_the_utterances_after_the_next_are_read():
    taken = []

    def watched():
        for index in range(100):
            taken.append(index)
            yield utterance(str(index), str(index // 5))

    next(join_recordings(watched(), ENGLISH))
    assert len(taken) == 6
