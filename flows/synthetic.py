"""Makes the corpora of a synthetic configuration before they are downloaded."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, cast

from configs.schema import RunConfig, Synthetic
from flows.dispatch.progress import progress
from flows.state.corpus_state import corpus_states
from storage.errors import DistilleryError, UserError
from storage.store import Store


def synthesise(settings: RunConfig, store: Store) -> None:
    """Write the archives of a synthetic configuration unless they have been downloaded already.

    Raises `UserError` when the speech synthesiser is not installed, a corpus has no synthetic form
    or the folder cannot be written, and `DistilleryError` when the process is killed.
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
    num_each = settings.synthetic.num_train_utterances + 2 * settings.synthetic.num_eval_utterances
    bar = progress().bar("synthesise", num_each * len(pending), "utterances")
    _run_demo(settings.synthetic, pending, bar.advance_to)


def _run_demo(
    settings: Synthetic, corpora: Sequence[str], on_progress: Callable[[int], None]
) -> None:
    """Run `python -m tasks.demo` to its end; the process never outlives this one.

    The demo is a program of its own: nothing in the package imports it.
    """
    command = [
        *(sys.executable, "-P", "-m", "tasks.demo", "--watch-stdin", f"--seed={settings.seed}"),
        *(f"--train={settings.num_train_utterances}", f"--eval={settings.num_eval_utterances}"),
        *("--", settings.folder, *corpora),
    ]
    # -P keeps the working directory off the import path; the child finds what this process finds.
    search_path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    error = None
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": search_path},
            start_new_session=True,  # Ctrl-C reaches only this process, and the child ends with it
        ) as demo,
    ):
        try:
            for line in cast("IO[bytes]", demo.stdout):
                report = json.loads(line)
                error = report.get("error", error)
                on_progress(report.get("done", 0))
            status = demo.wait()
        finally:
            demo.kill()
        log.seek(0)
        last_words = log.read().decode(errors="replace").strip().rpartition("\n")[2]
    if error is not None:
        raise UserError(error)
    if status != 0:
        raise DistilleryError(
            f"the synthetic corpora are incomplete: tasks.demo ended with status {status}, expected"
            f" 0 ({last_words or 'no message'}); run again: complete corpora are kept"
        )
