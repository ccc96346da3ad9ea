"""Rules for windows whose reference has no words: the label is judged by its own signals."""

from functools import partial

from configs.schema import WithoutReference
from tasks.filter.rule import Rule, above, below


def rules_without_reference(settings: WithoutReference) -> list[Rule]:
    """The rules that are turned on by `settings`, in order. Values at a limit are kept."""
    more = partial(above, without_reference=True)
    less = partial(below, without_reference=True)
    chosen = [
        ("no_speech", "no_speech_prob", settings.max_no_speech_prob, partial(more, level="window")),
        ("repetition", "compression_ratio", settings.max_compression_ratio, more),
        ("repetition", "most_repeats", settings.max_repeats, more),
        ("speech_rate", "chars_per_s", settings.max_chars_per_s, more),
        ("speech_rate", "chars_per_s", settings.min_chars_per_s, less),
        ("low_confidence", "avg_logprob", settings.min_avg_logprob, partial(less, level="window")),
    ]
    return [
        make(reason, column, limit) for reason, column, limit, make in chosen if limit is not None
    ]
