"""The corpora of a synthetic configuration, made here before they are downloaded."""

from pathlib import Path

from configs.schema import RunConfig
from flows.dispatch.progress import progress
from flows.state.corpus_state import corpus_states
from storage.errors import UserError
from storage.store import Store


def synthesise(settings: RunConfig, store: Store) -> None:
    """Make the archives of a synthetic configuration unless they are downloaded already.

    Raises `UserError` when the voices are not installed or a corpus has no synthetic form.
    """
    if settings.synthetic is None:
        return
    pending = [
        state.corpus.name
        for state in corpus_states(settings, store)
        if state.downloads.missing() and state.settings.local is None
    ]
    if not pending:
        return
    from tasks.demo.corpora import UnknownDemoCorpusError, write_corpora
    from tasks.demo.voices import SpeechSynthesisError

    made = settings.synthetic
    total = len(pending) * (made.num_train_utterances + 2 * made.num_eval_utterances)
    bar = progress().bar("synthesise", total, "utterances")
    try:
        write_corpora(
            Path(made.folder),
            pending,
            made.seed,
            made.num_train_utterances,
            made.num_eval_utterances,
            lambda done, _: bar.advance_to(done),
        )
    except (SpeechSynthesisError, UnknownDemoCorpusError, OSError) as error:
        raise UserError(str(error)) from error
