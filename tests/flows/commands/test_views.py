"""What the commands print fits 80 columns and splits no word, and JSON has the same values."""

import json
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from rich.console import Console
from rich.text import Text

from configs.grid_runs import load_grid
from flows.commands.terminal.render import Command, Fact, Part, View, print_parts, show
from flows.commands.views.corpora import catalogue_view
from flows.commands.views.doctor import checks_view
from flows.commands.views.estimate import estimate_view
from flows.commands.views.evaluate import report_view
from flows.commands.views.explain import rejections_view
from flows.commands.views.gc import garbage_view
from flows.commands.views.grid import grid_view
from flows.commands.views.manifest import difference_view, manifest_view, manifests_view
from flows.commands.views.report import page_view
from flows.commands.views.run import run_view
from flows.commands.views.status import status_view
from flows.commands.views.sweep import sweep_view
from flows.commands.views.training import training_view
from flows.doctor.check import Check
from flows.state.estimate import Estimate
from flows.state.garbage import Garbage
from flows.state.grid.report import GridReport, GridRow, report_on
from flows.state.rejections import Rejection
from flows.state.status import ShardCounts, StageStatus, Status
from flows.state.summary import RunSummary
from flows.state.sweep import Sweep, SweepLine
from flows.tables.figures import Figures
from storage.difference import Amount as Amounts
from storage.difference import Cause, Difference, SplitChange
from storage.manifest import Content, Manifest, Totals
from storage.receipts import Failure
from storage.shard import ShardKey
from tasks.corpora.catalogue import read_catalogue
from tasks.corpora.registry import CORPORA
from tasks.distil.outlook import Outlook
from tasks.distil.progress.rows import TrainingRow
from tasks.evaluate.claims.table import claims
from tasks.evaluate.coverage import Coverage
from tasks.filter.sweep import Amount
from tasks.paper.settings import PAPER_FILTERED_PERCENT
from tasks.stages import CORPUS_STAGES, SHARD_STAGES, STAGE_NAMES
from tests.tasks.evaluate.reports import paper_report, set_result

CONFIG = "configs/demo.yaml"
PAGE = "s3://distillery/full/reports/full/9270d7654cb3d133.html"
NINE = (
    "peoples_speech", "gigaspeech", "common_voice", "librispeech", "voxpopuli", "tedlium",
    "fisher", "switchboard", "ami",
)  # fmt: skip
DROPPED = {"wer": 61, "empty_hypothesis": 7, "contaminated": 6, "too_long": 5, "upper_case": 4}
QUARANTINED = {"no_audio": 1, "unreadable_audio": 24, "not_in_a_split": 1}


def printed(parts: Iterable[Part], width: int = 80) -> str:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    print_parts(console, parts)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def words(parts: Iterable[Part]) -> set[str]:
    """Every word that the parts consist of."""
    found: list[str] = []
    for part in parts:
        if isinstance(part, Figures):
            cells = (str(cell) for row in (*part.rows, *part.footer) for cell in row)
            found += [part.title, *part.columns, *cells]
        elif isinstance(part, Command):
            found += [part.before, part.command, "\\"]
        elif isinstance(part, Fact):
            found += [part.name, str(part.text)]
        else:
            found.append(str(part))
    return {word for text in found for word in text.split()}


def assert_readable(view: View, width: int = 80) -> str:
    parts = list(view.parts)
    text = printed(parts, width)
    assert max(map(len, text.splitlines())) <= width
    assert set(text.replace("─", " ").split()) <= words(parts)
    return text


def stage_line(stage: str, corpus: str, done: int, failed: int, planned: int) -> StageStatus:
    return StageStatus(
        stage=stage,
        corpus=corpus,
        split="train",
        shards=ShardCounts(done=done, missing=planned - done - failed, failed=failed),
        rows_in=1_500 * done,
        created=0,
        rows_out=1_400 * done,
        dropped=DROPPED if stage == "filter" else {},
        quarantined=QUARANTINED if stage == "normalise" else {},
        hours=0.12 * done,
    )


def status_of(num_planned: int = 4, num_failures: int = 0, num_done: int = 2) -> Status:
    """Nine corpora at different stages, as when they advance independently."""
    lines = [
        stage_line(stage, corpus, min(num_done, num_planned), int(num_failures > 0), num_planned)
        for stage in CORPUS_STAGES
        for corpus in NINE
    ]
    lines += [
        stage_line(stage, "all", 0, 0, 1) for stage in STAGE_NAMES if stage not in CORPUS_STAGES
    ]
    reason = "the archive SwitchboardTelephone-" + "words of a long reason " * 30
    failures = [
        Failure(
            stage="normalise",
            key=ShardKey("peoples_speech", "train-clean-of-a-long-name", number),
            reason=reason,
            attempt=1,
            failed_at="2026-11-28T12:00:00+00:00",
        )
        for number in range(num_failures)
    ]
    return Status(stages=lines, failures=failures)


def test_the_status_says_how_full_windows_are() -> None:
    lines = [
        stage_line("label", corpus, 1, 0, 1).model_copy(
            update={"split": split, "hours": hours, "window_fill": fill}
        )
        for corpus, split, hours, fill in [
            ("ami", "ihm-train", 3.0, 0.75),
            ("ami", "sdm-train", 1.0, 0.25),
            ("fisher", "train", 2.0, 0.937),
            ("voxpopuli", "train", 0.0, None),
        ]
    ]
    text = printed(list(status_view(Status(stages=lines, failures=[]), CONFIG).parts))
    assert "audio: ami 50%, fisher 94%" in text.replace("\n", " ")
    assert "Window fill" not in printed(list(status_view(status_of(), CONFIG).parts))


@pytest.mark.parametrize("num_failures", [0, 1, 500])
def test_status_of_nine_corpora_fits_a_page(num_failures: int) -> None:
    text = assert_readable(status_view(status_of(num_failures=num_failures), CONFIG))
    assert len(text.splitlines()) <= 60
    assert all(corpus in text for corpus in NINE)
    assert "wer 61" in text and "unreadable_audio 24" in text
    assert text.count("again: distillery rerun") == min(num_failures, 3)
    assert ("more; --json" in text) == (num_failures > 3)
    assert ("2/4 !1" in text) == (num_failures > 0)


def test_a_command_can_be_pasted_from_a_narrow_screen() -> None:
    text = printed(status_view(status_of(num_failures=1), CONFIG).parts)
    command = text.partition("again: ")[2].partition("\n\n")[0]
    pasted = command.replace("\\\n", "").split()
    shard = "peoples_speech/train-clean-of-a-long-name/00000"
    assert pasted == ["distillery", "rerun", CONFIG, "normalise", shard]


def test_a_wide_table_goes_into_several_blocks() -> None:
    status = status_of(num_planned=123_456, num_done=98_765, num_failures=1)
    text = assert_readable(status_view(status, CONFIG))
    assert text.count("peoples_speech  ") > 1
    assert text.count("98765/123456 !1") == len(NINE) * len(CORPUS_STAGES)


def test_status_says_what_is_done_and_what_is_not() -> None:
    assert "To continue: distillery run configs/demo.yaml" in printed(
        status_view(status_of(), CONFIG).parts
    )
    done = [stage_line(stage, "ami", 3, 0, 3) for stage in STAGE_NAMES]
    assert "Everything is done." in printed(
        status_view(Status(stages=done, failures=[]), CONFIG).parts
    )
    unplanned = [stage_line("plan", "ami", 0, 0, 1), stage_line("label", "ami", 0, 0, 0)]
    assert "0/?" in printed(status_view(Status(stages=unplanned, failures=[]), CONFIG).parts)


def manifest(number: int = 1) -> Manifest:
    def totals(num: int) -> Totals:
        return Totals(
            shards=num,
            hours_heard=5_754.25,
            windows_heard=1_234_567,
            windows=1_034_567,
            utterances=2_345_678,
            hours=4_000.5,
            dropped=DROPPED,
            quarantined=QUARANTINED,
        )

    return Manifest(
        number=number,
        parent=None,
        digest="0123456789abcdef" * 4,
        published_at="2026-11-28T12:00:00+00:00",
        root="s3://distillery/full",
        versions={},
        licences={},
        totals={**{corpus: totals(1_500) for corpus in NINE}, "all": totals(12_000)},
        content=Content(name="full-of-nine-corpora", entries=(), fingerprints={}, parameters={}),
    )


SETS = [f"{corpus}/{split}" for corpus in NINE for split in ("dev", "validation-other")]
REPORT = paper_report(
    sets=tuple(
        set_result(model, name, 10.0, num_utterances=6_172)
        for name in SETS
        for model in ("teacher", "student")
    ),
    coverage=Coverage(
        num_annotated=1_234_567, num_utterances=1_000_000, excluded={"beyond_limit_hours": 234_567}
    ),
    coverage_by_corpus={
        corpus: Coverage(
            num_annotated=137_174,
            num_utterances=111_111,
            excluded={"beyond_limit_hours": 26_000, "not_scored": 60, "unreadable_audio": 3},
        )
        for corpus in NINE
    },
)
REPORT = REPORT.model_copy(update={"claims": claims(REPORT)})


def amounts(hours: float) -> Amounts:
    return Amounts(shards=1, windows=2, utterances=1_234_567, hours=hours)


DIFFERENCE = Difference(
    name="full-of-nine-corpora",
    before=1,
    after=2,
    digests=("a", "b"),
    splits=tuple(
        SplitChange(
            corpus=corpus,
            split="train-clean-100",
            before=amounts(5_754.25),
            came=amounts(0.5),
            went=amounts(0.25),
            after=amounts(5_754.5),
        )
        for corpus in NINE
    ),
    causes=(
        Cause(
            kind="parameter", what="filter.max_wer_percent", before=10.0, after=5.0, corpora=NINE
        ),
        Cause(kind="library", what="torch", before="2.10.0", after=None),
    ),
    left_out={corpus: {"wer": 12, "too_long": -3} for corpus in NINE},
    only_before=(),
    only_after=(),
    changed=(),
)


def estimate(corpus: str) -> Estimate:
    return Estimate(
        corpus=corpus,
        basis="as configured",
        hours=5_754.9,
        windows=1_767_320,
        held_out_hours=205.2,
        paper_hours=12_000.0,
        shards=1_746,
        terabytes_to_download=0.402,
        is_size_estimated=True,
        terabytes_to_keep=1.759,
        terabytes_to_write=1.0,
        gpu_hours=1_039.83,
        files_to_download=1_234,
        has_unlisted_files=True,
        shards_to_do=dict.fromkeys(SHARD_STAGES, 1_746),
    )


TRAINING = Outlook(
    num_steps=80_000,
    batch_size=256,
    num_windows=15_905_880,
    epochs=1.3,
    hours=67_332.3,
    cache_gb=10.0,
    why_not_cached="runtime.encoder_cache_gb is 0",
)

SWEEP = Sweep(
    [
        SweepLine(
            corpus,
            percent,
            Amount(1_234_567, 2_345_678, 4_000.5),
            Amount(123_456, 234_567, 1_754.25),
            percent == 10,
        )
        for corpus in (*NINE, "all")
        for percent in PAPER_FILTERED_PERCENT
    ],
    [f"peoples_speech/train/{number:05d}" for number in range(9)],
)

CHECKS = [
    Check(subject="storage", state="ok", found="s3://distillery/full is writable"),
    Check(
        subject="peoples_speech",
        state="problem",
        found="https://www.openslr.org/resources/12/train-clean-100.tar.gz is not found (404)",
        next_step="check the address, or provide the files and set"
        " corpora.peoples_speech.mirror [to a folder]",
    ),
]

REJECTIONS = [
    Rejection(
        id=f"1001-100100-{number:04d}",
        corpus="librispeech",
        split="train-clean-100",
        stage="filter",
        outcome="dropped",
        reason="wer",
        detail="wer 112.5 % > 10 %",
    )
    for number in range(30)
]


def grid_of(name: str, settings: dict[str, Any]) -> GridReport:
    """Runs of the demo that are evaluated on nine corpora, but for the last one."""
    grid = load_grid(Path(__file__).parents[3] / "configs" / "grids" / "demo.yaml")
    if settings:
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.yaml"
            file.write_text(yaml.safe_dump({"base": "demo", **settings}))
            grid = load_grid(file)
    done = {
        "pending": "",
        "hours": 13_933.3,
        "kept_percent": 54.6,
        "num_steps": 80_000,
        "wer_percent": 12.6,
        "wer_percent_by_corpus": dict.fromkeys(NINE, 12.6),
    }
    rows = [
        GridRow(
            name=run.name,
            config=run.config,
            label=run.label,
            values=run.values,
            seed=run.seed,
            **({"pending": "distil"} if run is grid.runs[-1] else done),
        )
        for run in grid.runs
    ]
    return report_on(grid, "label", rows, dict.fromkeys(NINE, 7.4))


VARIED = {
    "filter.max_utterance_wer_percent": [5, None],
    "distil.decoder_layers": [2, [0, 1, 2, 3]],
    "distil.encoder_layers": [None],
}

VIEWS = {
    "corpora": catalogue_view(read_catalogue()),
    "doctor": checks_view(CHECKS),
    "explain": rejections_view(REJECTIONS, 20),
    "evaluate": report_view(REPORT),
    "gc": garbage_view([Garbage("label/ami/0123/train/.0123.part", 12)], is_deleted=False),
    "grid": grid_view(grid_of("demo", {})),
    "grid of combinations": grid_view(grid_of("combinations", {"vary": VARIED, "seeds": [0, 1]})),
    "grid of seeds": grid_view(grid_of("seeds", {"seeds": [0, 1, 2]})),
    "manifest list": manifests_view([manifest(1), manifest(12)]),
    "manifest show": manifest_view(manifest()),
    "manifest diff": difference_view(DIFFERENCE),
    "plan": estimate_view([estimate(corpus) for corpus in NINE], TRAINING),
    "sweep": sweep_view(SWEEP),
    "run": run_view(
        RunSummary(
            status=None,
            published=manifest(),
            remarks=["abnormal: ami keeps 3.1 % of its hours at 10 %, before it was 60.0 %"],
            report=REPORT,
            student="s3://distillery/full/distil/c0a26359e10083cc/student-a082c8a8",
        ),
        CONFIG,
        PAGE,
    ),
    "run without a manifest": run_view(
        RunSummary(status=status_of(), published=None, remarks=[], report=None, student=None),
        CONFIG,
        PAGE,
    ),
    "report": page_view("reports/full/9270d7654cb3d133.html", PAGE, is_new=True),
}
PARTS = {name: list(view.parts) for name, view in VIEWS.items()}


@pytest.mark.parametrize("name", VIEWS)
def test_each_view_fits_80_columns_and_splits_no_word(name: str) -> None:
    assert_readable(View(VIEWS[name].data, PARTS[name]))


def test_a_run_ends_with_the_ten_lines_that_matter() -> None:
    lines = printed(PARTS["run"], width=200).splitlines()
    end = lines[lines.index("In short") :]
    assert len(end) <= 10
    names = [line.partition("  ")[0] for line in end[1:]]
    assert names == [
        "kept", "rejected", "manifest", "student", "WER %", "claims", "folder", "next", "all of it",
    ]  # fmt: skip
    assert "s3://distillery/full/distil/c0a26359e10083cc/student-a082c8a8" in end[-3]
    assert not any("In short" in line for line in printed(PARTS["run without a manifest"]))


def test_further_lines_of_a_fact_begin_below_the_first() -> None:
    first, *more = printed([Fact("label", "word " * 30)]).splitlines()
    assert first.startswith("label      word word")
    assert more and all(line.startswith(f"{' ' * 11}word") for line in more)


@pytest.mark.parametrize("name", VIEWS)
def test_each_view_is_json_too(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(VIEWS[name], as_json=True)
    assert json.loads(capsys.readouterr().out)


def test_nothing_is_broken_for_a_file_or_a_pipe() -> None:
    line = "word " * 100
    console = Console(file=StringIO(), width=80, force_terminal=False)
    print_parts(console, [line, Text(line), Command("again: ", line)])
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines() == [line, line, f"again: {line}"]


def test_the_keys_of_json_are_those_that_programs_know() -> None:
    def keys(name: str) -> set[str]:
        data: Any = VIEWS[name].data
        value = data[0] if isinstance(data, list) else data
        return set(value if isinstance(value, Mapping) else type(value).model_fields)

    assert keys("plan") == {"corpora", "total", "training"}
    assert keys("sweep") == {"lines", "remarks"}
    assert keys("doctor") == {"subject", "state", "found", "next_step"}
    assert keys("manifest list") == {"name", "number", "digest", "published_at", "totals"}
    assert keys("grid") == {
        "name", "base", "settings", "reference", "has_seeds", "pending", "rows", "groups",
        "teacher_wer_percent", "teacher_wer_percent_by_corpus", "paper",
    }  # fmt: skip
    assert keys("corpora") == {
        "name", "title", "homepage", "hours", "paper_hours", "splits", "sources", "licence",
        "notes",
    }  # fmt: skip


@pytest.mark.parametrize("mse", [0.0, 0.25])
def test_a_training_has_a_column_for_each_term_of_its_loss(mse: float) -> None:
    row = TrainingRow(step=1, loss=2.0, ce=1.0, kl=0.5, mse=mse, learning_rate=1e-4)
    table, *_ = training_view([row]).parts
    assert isinstance(table, Figures)
    assert ("MSE" in table.columns) == ("0.2500" in table.rows[0]) == (mse > 0)
    assert len(table.rows[0]) == len(table.columns)
    assert_readable(training_view([row]))


def test_an_evaluation_has_a_row_for_each_set_and_for_the_means() -> None:
    _, table, *_ = (part for part in report_view(REPORT).parts if isinstance(part, Figures))
    assert [row[0] for row in table.rows] == SETS
    assert table.rows[0] == ("peoples_speech/dev", "6,172", "10.00 (9.0-11.0)", "10.00 (9.0-11.0)")
    assert [row[0] for row in table.footer] == [
        "in domain, 2 sets", "out of domain, 2 sets", "mean, 2 sets",
    ]  # fmt: skip


def test_settings_of_several_corpora_have_columns_of_their_own() -> None:
    vary = {f"corpora.{name}.filter.max_wer_percent": [5, 20] for name in ("ami", "librispeech")}
    weights = {f"distil.corpus_weights.{name}": [2] for name in ("ami", "librispeech")}
    nested = {f"filter.{name}.max_repeats": [3] for name in ("hallucination", "without_reference")}
    runs, *_ = grid_view(grid_of("corpora", {"vary": {**vary, **weights, **nested}})).parts
    assert isinstance(runs, Figures)
    assert runs.columns[:2] == ("ami\nmax_wer_\npercent", "librispeech\nmax_wer_\npercent")
    assert len(set(runs.columns)) == len(runs.columns)


def test_the_catalogue_has_every_corpus_with_its_terms() -> None:
    text = " ".join(printed(PARTS["corpora"]).split())
    training, evaluation = text.partition("Evaluation only")[::2]
    entries = read_catalogue()
    assert {entry.name for entry in entries} == CORPORA.keys()
    for entry in entries:
        assert entry.name in (training if entry.is_for_training else evaluation)
        assert entry.licence.to_sign in text


def test_a_view_shows_text_from_outside_as_one_plain_line() -> None:
    attack = "a\x1b[31m\x9b\u202e[red]b[/red]\nfake"
    escaped = "a\\x1b[31m\\x9b\\u202e[red]b[/red]\\nfake"
    figures = Figures(title=attack, columns=("x",), rows=[(attack,)], footer=[(attack,)])
    styled = Text.assemble((attack, "bold"), " end")
    parts = [attack, Text(attack), styled, Command(attack, attack), figures]
    shown = printed(parts, width=200)
    assert shown.count(escaped) == 8
    assert not set(shown) & {"\x1b", "\x9b", "\u202e"}


def test_json_on_a_terminal_has_the_same_values(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"text": "\x9b2J\u202e\U000e0041\ud800é", "none": float("nan"), "rate": 1e-5}
    show(View(values, ()), as_json=True)
    written = capsys.readouterr().out
    assert json.loads(written) == {**values, "none": None}
    assert "é" in written
    assert not set(written) & {"\x9b", "\u202e", "\U000e0041", "\ud800"}
