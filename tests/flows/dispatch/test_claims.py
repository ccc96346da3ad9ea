"""The page of the claims in the UI."""

import re
from base64 import b64decode

from flows.dispatch.claims import claims_page
from tasks.evaluate.claims.table import claims
from tests.tasks.evaluate.reports import paper_report, report


def test_the_page_has_a_row_for_each_claim_and_a_chart_for_each_kind_of_noise() -> None:
    made = paper_report()
    made = made.model_copy(update={"claims": claims(made)})
    table, *charts = claims_page(made)
    header, rule, *rows = table.splitlines()
    assert header == "| claim | source | paper | here | verdict | why |"
    assert len(rows) == len(made.claims)
    assert {line.count(" | ") for line in (header, rule, *rows)} == {5}
    assert [re.findall(r"!\[(.*?)\]", chart) for chart in charts] == [
        ["white noise"],
        ["babble noise"],
    ]
    (data,) = re.findall(r"base64,([\w+/=]+)\)", charts[0])
    svg = b64decode(data).decode()
    assert svg.count("<polyline") == 3
    assert ">-10<" in svg and ">40<" in svg and "signal-to-noise ratio" in svg


def test_without_noise_there_is_the_table_alone() -> None:
    made = report()
    assert len(list(claims_page(made.model_copy(update={"claims": claims(made)})))) == 1
