"""The rules for windows that have no reference: a label is judged by its own signals.

They have nothing to say about a window whose reference has words.
"""

from functools import partial

from configs.schema import WithoutReference
from tasks.filter.rule import Rule, above, below


def rules_without_reference(settings: WithoutReference) -> list[Rule]:
    """The rules that `settings` ask for, in the order in which they give the reason.

    Each drops only what is beyond its limit, never what is at it.
    """
    more = partial(above, without_reference=True)
    less = partial(below, without_reference=True)
    chosen = [
        ("no_speech", "no_speech_prob", settings.max_no_speech_prob, partial(more, of="window")),
        ("repetition", "compression_ratio", settings.max_compression_ratio, more),
        ("repetition", "most_repeats", settings.max_repeats, more),
        ("speech_rate", "chars_per_s", settings.max_chars_per_s, more),
        ("speech_rate", "chars_per_s", settings.min_chars_per_s, less),
        ("low_confidence", "avg_logprob", settings.min_avg_logprob, partial(less, of="window")),
    ]
    return [
        make(reason, column, limit) for reason, column, limit, make in chosen if limit is not None
    ]
