"""Real Whisper weights, finished runs on real speech, and what was found at the end.

`make real` sets the variables: DISTILLERY_SPEECH is the folder of speech, and with
DISTILLERY_SPEECH_FULL all of it is used instead of a sample.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import torch
from transformers import WhisperTokenizer

from tasks.whisper.tokens import SpecialTokens
from tests.real.findings import FINDINGS, Findings, print_findings
from tests.real.reference import Reference
from tests.real.results import LabelledWindow, Results
from tests.real.runs import Runs
from tests.real.speech import Speech

_NUM_COMPARED: Final = {"books": 48, "learners": 16}
"""Windows of a corpus that are compared with the reference; of other corpora all are."""
_FIRST: Final = "tiny.en"
"""The teacher of the run that is started before the first test."""

Compared = Sequence[tuple[LabelledWindow, str]]
"""Windows, and the reference's text with timestamps for each."""


@pytest.fixture(scope="session")
def speech() -> Speech:
    """The folder of speech; without one, everything here is skipped."""
    folder = os.environ.get("DISTILLERY_SPEECH")
    if not folder:
        pytest.skip("needs a folder of real speech: make real SPEECH=DIR")
    return Speech(Path(folder).resolve(), is_full=bool(os.environ.get("DISTILLERY_SPEECH_FULL")))


@pytest.fixture(scope="session")
def teacher(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a Whisper by its name, `tiny.en` or `base`."""
    return cache(lambda name: speech.teacher(name, tmp_path_factory.mktemp("teacher") / name))


@pytest.fixture(scope="session")
def runs(
    speech: Speech, teacher: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """The runs, which end with the session at the latest."""
    with ExitStack() as stack:
        yield Runs(speech, teacher, tmp_path_factory.mktemp, stack)


@pytest.fixture(scope="session")
def num_threads() -> int:
    """The threads of torch, before tests change them."""
    return torch.get_num_threads()


@pytest.fixture(scope="session", autouse=True)
def _one_ahead(request: pytest.FixtureRequest, num_threads: int) -> Iterator[None]:
    """Start the run that most tests need, and leave it half of the cores until then."""
    if any(_needs_run(item) for item in request.session.items):
        runs: Runs = request.getfixturevalue("runs")
        runs.start(_FIRST)
        torch.set_num_threads(max(1, num_threads // 2))
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="session")
def finished(runs: Runs, num_threads: int) -> Callable[[str], Results]:
    """The finished run of a teacher."""

    def results(name: str) -> Results:
        found = runs.results(name)
        torch.set_num_threads(num_threads)
        return found

    return results


def _needs_run(item: pytest.Item) -> bool:
    is_real = item.get_closest_marker("real") is not None
    return is_real and "finished" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need no finished run come first, while one runs."""
    items.sort(key=_needs_run)


@pytest.fixture(scope="session")
def reference(teacher: Callable[[str], Path]) -> Callable[[str], Reference]:
    """The Whisper of transformers by its name."""
    return cache(lambda name: Reference(teacher(name)))


@pytest.fixture(scope="session")
def special(teacher: Callable[[str], Path]) -> SpecialTokens:
    """The special tokens of tiny.en."""
    return SpecialTokens.of(WhisperTokenizer.from_pretrained(teacher("tiny.en")))


@pytest.fixture(scope="session")
def windows(finished: Callable[[str], Results]) -> Sequence[LabelledWindow]:
    """Every window that tiny.en labelled."""
    return finished("tiny.en").labelled()


@pytest.fixture(scope="session")
def compared(
    speech: Speech,
    windows: Sequence[LabelledWindow],
    reference: Callable[[str], Reference],
    special: SpecialTokens,
    findings: Findings,
) -> Compared:
    """Windows with the reference's text; not those that were sampled, where nothing is equal."""
    chosen = [
        window
        for corpus in dict.fromkeys(one.corpus for one in windows)
        for window in evenly(
            [one for one in windows if one.corpus == corpus and not one.temperature],
            None if speech.is_full else _NUM_COMPARED.get(corpus),
        )
    ]
    texts = reference("tiny.en").transcribe_with_timestamps([one.samples for one in chosen])
    pairs = list(zip(chosen, texts, strict=True))
    findings.add_labels(windows, pairs, special)
    return pairs


def evenly(windows: Sequence[LabelledWindow], number: int | None) -> list[LabelledWindow]:
    """So many windows at regular distances; None: all."""
    if number is None or number >= len(windows):
        return list(windows)
    return [windows[index * len(windows) // number] for index in range(number)]


@pytest.fixture(scope="session")
def findings(request: pytest.FixtureRequest, speech: Speech) -> Findings:
    """Collects what is printed at the end of the session."""
    return request.config.stash.setdefault(FINDINGS, Findings(is_full=speech.is_full))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was found."""
    if (found := config.stash.get(FINDINGS, None)) is not None:
        print_findings(found, terminalreporter)
