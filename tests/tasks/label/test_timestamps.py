import torch

from tasks.label.rules import TimestampRules
from tasks.label.timestamps import apply_timestamp_rules

TEXT, END, NO_TIMESTAMPS, FIRST = 0, 10, 11, 12
VOCAB = 12 + 21
RULES = TimestampRules(
    first_id=FIRST, no_timestamps_id=NO_TIMESTAMPS, end_id=END, max_initial_steps=5
)


def allowed(sampled, logits=None):
    """The ids that stay possible; by default one text token is likelier than all timestamps."""
    if logits is None:
        logits = torch.zeros(VOCAB)
        logits[TEXT] = 50.0
    found = apply_timestamp_rules(
        logits[None], torch.tensor([sampled], dtype=torch.long).reshape(1, -1), RULES
    )
    return set(found[0].isfinite().nonzero().squeeze(1).tolist())


def test_an_answer_opens_with_an_early_timestamp():
    assert allowed([]) == set(range(FIRST, FIRST + 6))


def test_text_follows_the_timestamp_that_opens_a_segment():
    assert allowed([FIRST + 2]) == set(range(FIRST)) - {NO_TIMESTAMPS}


def test_a_closed_segment_is_followed_by_a_timestamp_or_the_end():
    assert allowed([FIRST, TEXT, FIRST + 4], torch.zeros(VOCAB)) == set(range(FIRST + 4, VOCAB))
    logits = torch.zeros(VOCAB)
    logits[END] = 50.0
    assert allowed([FIRST, TEXT, FIRST + 4], logits) == {END, *range(FIRST + 4, VOCAB)}


def test_after_a_pair_there_is_text_again():
    assert allowed([FIRST, TEXT, FIRST + 4, FIRST + 4]) == set(range(FIRST)) - {NO_TIMESTAMPS}


def test_a_segment_has_a_length_and_time_does_not_go_back():
    found = allowed([FIRST + 3, TEXT])
    assert min(token for token in found if token >= FIRST) == FIRST + 4


def test_timestamps_that_are_together_likelier_than_any_word_win():
    logits = torch.zeros(VOCAB)
    logits[TEXT] = 2.0  # against the sum of seventeen
    assert allowed([FIRST + 3, TEXT], logits) == set(range(FIRST + 4, VOCAB))
    logits[TEXT] = 3.0
    assert TEXT in allowed([FIRST + 3, TEXT], logits)


def test_no_timestamps_is_never_said():
    assert NO_TIMESTAMPS not in allowed([FIRST, TEXT, TEXT])
