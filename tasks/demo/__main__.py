"""Write demo corpora: `python -m tasks.demo FOLDER CORPUS...`.

Prints JSON Lines on stdout: `{"done": 3, "total": 120}` (utterances) as the work advances and, for
an expected failure, one `{"error": "..."}` with exit status 1.
"""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from tasks.demo.corpora.write import UnknownDemoCorpusError, write_corpora
from tasks.demo.speech.voices import SpeechSynthesisError


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tasks.demo", description="Write synthetic corpora into FOLDER/CORPUS."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=100, help="training utterances per corpus")
    parser.add_argument("--eval", type=int, default=10, help="utterances per held-out split")
    parser.add_argument(
        "--watch-stdin",
        action="store_true",
        help="exit as soon as stdin is closed, which is when the parent process ends",
    )
    arguments = parser.parse_args()
    if arguments.watch_stdin:
        # The parent handles Ctrl-C, which the terminal sends to both processes.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()
    try:
        write_corpora(
            arguments.folder,
            arguments.corpora,
            arguments.seed,
            arguments.train,
            arguments.eval,
            lambda done, total: _report(done=done, total=total),
        )
    except (SpeechSynthesisError, UnknownDemoCorpusError, OSError) as error:
        _report(error=str(error))
        return 1
    return 0


def _report(**values: int | str) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def _exit_at_end_of_stdin() -> None:
    # Not through sys.stdin: the interpreter aborts if a thread holds its lock at shutdown.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
