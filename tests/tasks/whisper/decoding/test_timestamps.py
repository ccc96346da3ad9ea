import torch

from tasks.whisper.decoding.rules import TimestampRules
from tasks.whisper.decoding.timestamps import apply_timestamp_rules, running_max_timestamp

TEXT, END, NO_TIMESTAMPS, FIRST = 0, 10, 11, 12
VOCAB = 12 + 21
RULES = TimestampRules(
    first_id=FIRST,
    last_id=VOCAB - 1,
    no_timestamps_id=NO_TIMESTAMPS,
    end_id=END,
    max_initial_steps=5,
)


def allowed(sampled, logits=None):
    """The allowed ids; by default one text token is more likely than all timestamps together."""
    if logits is None:
        logits = torch.zeros(VOCAB)
        logits[TEXT] = 50.0
    # the first token of a hypothesis counts as following a timestamp
    before_last, last = torch.tensor([FIRST, *sampled][-2:])
    latest = max([FIRST - 1, *(token for token in sampled if token >= FIRST)])
    found = apply_timestamp_rules(logits, before_last, last, torch.tensor(latest), RULES)
    return set(found.isfinite().nonzero().squeeze(1).tolist())


def test_text_follows_the_timestamp_that_opens_a_segment():
    assert allowed([FIRST + 2]) == set(range(FIRST))


def test_a_closed_segment_is_followed_by_a_timestamp_or_the_end():
    assert allowed([FIRST, TEXT, FIRST + 4], torch.zeros(VOCAB)) == set(range(FIRST + 4, VOCAB))
    logits = torch.zeros(VOCAB)
    logits[END] = 50.0
    found = allowed([FIRST, TEXT, FIRST + 4], logits) - {NO_TIMESTAMPS}
    assert found == {END, *range(FIRST + 4, VOCAB)}


def test_after_a_pair_there_is_text_again():
    assert allowed([FIRST, TEXT, FIRST + 4, FIRST + 4]) == set(range(FIRST))


def test_segments_have_a_length_and_timestamps_never_decrease():
    found = allowed([FIRST + 3, TEXT])
    assert min(token for token in found if token >= FIRST) == FIRST + 4


def test_a_timestamp_is_forced_if_all_together_are_more_likely():
    logits = torch.zeros(VOCAB)
    logits[TEXT] = 2.0  # less than the sum of seventeen timestamps
    assert allowed([FIRST + 3, TEXT], logits) == set(range(FIRST + 4, VOCAB))
    logits[TEXT] = 3.0
    assert TEXT in allowed([FIRST + 3, TEXT], logits)


def test_the_highest_timestamp_is_tracked_per_token():
    tokens = torch.tensor([[FIRST + 2, TEXT, FIRST + 4, TEXT], [TEXT, TEXT, FIRST, FIRST]])
    latest = torch.tensor([FIRST + 1, FIRST - 1])
    assert running_max_timestamp(latest, tokens, RULES).tolist() == [
        [FIRST + 2, FIRST + 2, FIRST + 4, FIRST + 4],
        [FIRST - 1, FIRST - 1, FIRST, FIRST],
    ]
