"""What `evaluate` shows on a terminal of 80 columns, and as JSON."""

import json

import pytest

from flows.commands.terminal.render import show
from flows.commands.views.evaluate import report_view, summary_parts
from flows.tables.figures import Figures
from tasks.evaluate.claims.table import claims
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.result import Report
from tests.flows.commands.test_views import assert_readable, printed
from tests.tasks.evaluate.reports import average, paper_report, report, set_result


def claimed(made: Report) -> Report:
    return made.model_copy(update={"claims": claims(made)})


def titles(made: Report) -> list[str]:
    return [part.title for part in report_view(made).parts if isinstance(part, Figures)]


def test_every_section_fits_80_columns() -> None:
    assert_readable(report_view(claimed(paper_report())))


def test_nothing_that_is_empty_is_shown() -> None:
    assert titles(report()) == []
    assert titles(claimed(report())) == ["The paper's claims"]


def test_many_models_of_long_names_fit_too() -> None:
    names = ["teacher", "student", *(f"facebook-wav2vec2-large-960h-lv60-{n}" for n in range(4))]
    made = report(
        sets=tuple(
            set_result(model, f"peoples_speech/{split}", 10.0)
            for model in names
            for split in ("validation", "test")
        ),
        averages=tuple(
            average(model, 10.0, condition)
            for model in names
            for condition in (CLEAN, "white_40db", "white_-10db")
        ),
    )
    text = assert_readable(report_view(made))
    assert all(name in text for name in names)


def test_averages_of_domains_are_shown_where_there_are_both() -> None:
    text = printed(report_view(paper_report()).parts)
    assert "in domain, 2 sets" in text and "out of domain, 2 sets" in text
    alone = report(
        sets=(set_result("student", "ami/ihm-test", 10.0),),
        averages=tuple(average("student", 10.0, domain=of, num_sets=1) for of in ("in", "all")),
    )
    assert "in domain" not in printed(report_view(alone).parts)
    assert "mean, " not in printed(report_view(alone).parts)


def test_sets_of_the_paper_have_its_rates_beside() -> None:
    text = printed(report_view(paper_report()).parts)
    rows = [line.split() for line in text.splitlines()]
    assert ["fleurs/test", "4.2", "6.3"] in rows
    assert ["earnings22/test", "15.1", "15.1"] in rows


def test_a_set_without_reference_words_has_no_rate() -> None:
    made = report(sets=(set_result("teacher", "ami/ihm-test", None),))
    assert ["ami/ihm-test", "1,234", "-"] in [
        line.split() for line in printed(report_view(made).parts).splitlines()
    ]


def test_what_was_not_evaluated_is_counted_with_its_reasons() -> None:
    lines = printed(report_view(report()).parts).splitlines()
    assert "Evaluated: 3 of 6 utterances" in lines
    assert lines[-2:] == ["Not evaluated:", "  talks: no_text 3"]


def test_a_run_ends_with_errors_and_claims() -> None:
    shown = [
        one.title for one in summary_parts(claimed(paper_report())) if isinstance(one, Figures)
    ]
    assert shown[0] == "Models" and shown[-1] == "The paper's claims"
    assert "Speed, the median of all rounds" not in shown


def test_json_has_the_claims(capsys: pytest.CaptureFixture[str]) -> None:
    show(report_view(claimed(paper_report())), as_json=True)
    found = json.loads(capsys.readouterr().out)["claims"]
    assert {"name", "claim", "source", "paper", "ours", "verdict", "reason"} <= set(found[0])
