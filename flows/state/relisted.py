"""Deliveries whose files are listed differently than when they were hashed, as after a copy."""

from collections.abc import Iterable

from flows.state.corpus_state import CorpusState


def relisted_advice(states: Iterable[CorpusState]) -> str:
    """Which deliveries have to be hashed again and how, as one line; "" if there are none.

    Until then it is not known whether their files are still the same, so what depends on all files
    of a run counts as not done.
    """
    names = [state.name for state in states if state.downloads.relisted]
    if not names:
        return ""
    return (
        f"the files of {', '.join(names)} were copied or changed since they were hashed;"
        " `distillery run CONFIG --until download` hashes them again, and keeps what is made from"
        " files that are the same"
    )
