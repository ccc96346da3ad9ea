"""Evaluation on real speech with real weights: complete, and as good as transformers."""

import subprocess
from collections.abc import Callable
from typing import Final

import pytest

from tests.flows.running import COMMAND
from tests.processes import environment
from tests.real.findings import Findings
from tests.real.reference import Reference
from tests.real.results import MeasuredUtterance, Results, word_errors
from tests.real.speech import Speech, utterances_in

pytestmark = pytest.mark.real

_MAX_WER_DIFFERENCE: Final = 0.3  # points


@pytest.fixture(scope="module", params=["tiny.en", "base"])
def name(request: pytest.FixtureRequest, speech: Speech) -> str:
    """The teacher; base takes an hour."""
    chosen: str = request.param
    if chosen == "base" and not speech.is_full:
        pytest.skip("base is evaluated by make real FULL=1")
    return chosen


@pytest.fixture(scope="module")
def measured(name: str, finished: Callable[[str], Results]) -> list[MeasuredUtterance]:
    return finished(name).measured()


def test_every_utterance_is_measured(
    name: str, finished: Callable[[str], Results], measured: list[MeasuredUtterance]
) -> None:
    archive = finished(name).archive("test-clean")
    assert sorted(one.id for one in measured) == sorted(utterances_in(archive))


def test_the_word_error_rate_is_that_of_transformers(
    name: str,
    measured: list[MeasuredUtterance],
    reference: Callable[[str], Reference],
    findings: Findings,
) -> None:
    references = [one.reference for one in measured]
    ours = word_errors(references, [one.hypothesis for one in measured]).wer_percent
    expected = reference(name).transcribe([one.samples for one in measured])
    theirs = word_errors(references, expected).wer_percent
    findings.lines.append(
        f"test-clean, {len(measured)} utterances, {name}: WER {ours:.2f} %,"
        f" transformers {theirs:.2f} %"
    )
    assert ours == pytest.approx(theirs, abs=_MAX_WER_DIFFERENCE)


def test_the_command_prints_what_was_measured(
    name: str, finished: Callable[[str], Results], measured: list[MeasuredUtterance]
) -> None:
    results = finished(name)
    done = subprocess.run(
        [str(COMMAND), "evaluate", str(results.path)],
        cwd=results.path.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    wer_percent = word_errors(
        [one.reference for one in measured], [one.hypothesis for one in measured]
    ).wer_percent
    num_utterances = len(utterances_in(results.archive("test-clean")))
    assert f"{wer_percent:.2f}" in done.stdout
    assert f"{num_utterances} of {num_utterances}" in done.stdout
