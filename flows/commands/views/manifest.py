"""The views of published manifests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flows.commands.terminal.render import Part, View
from flows.state.verification import Verification
from flows.tables.figures import Figures
from flows.tables.words import reason_lines
from storage.difference import Amount, Cause, Difference, SplitChange
from storage.manifest import Manifest

_LISTED: Final = ("name", "number", "digest", "published_at", "totals")
_NUM_CORPORA: Final = 3


def _manifest_data(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON, with its name."""
    return {"name": manifest.name, **manifest.model_dump(mode="json")}


def manifests_view(manifests: Sequence[Manifest]) -> View:
    """All manifests under a root."""
    values = map(_manifest_data, manifests)
    data = [{key: value[key] for key in _LISTED} for value in values]
    return View(data, _manifests_parts(manifests))


def _manifests_parts(manifests: Sequence[Manifest]) -> Iterator[Part]:
    rows = [
        (
            manifest.name,
            str(manifest.number),
            manifest.published_at.replace("T", " ").removesuffix("+00:00"),
            str(manifest.totals["all"].shards),
            f"{manifest.totals['all'].hours:.2f}",
            manifest.digest[:16],
        )
        for manifest in manifests
    ]
    columns = ("name", "number", "published (UTC)", "shards", "hours", "digest")
    yield Figures(title="Manifests", columns=columns, rows=rows)


def manifest_view(manifest: Manifest) -> View:
    """The totals of a manifest by corpus, and the reasons for which rows were rejected."""
    return View(_manifest_data(manifest), manifest_parts(manifest))


def manifest_parts(manifest: Manifest) -> Iterator[Part]:
    """The table of a manifest, and its reasons."""
    rows = [
        (
            corpus,
            str(totals.shards),
            f"{totals.hours_heard:.2f}",
            f"{totals.windows_heard:,}",
            f"{totals.windows:,}",
            f"{totals.hours:.2f}",
        )
        for corpus, totals in manifest.totals.items()
    ]
    yield Figures(
        title=f"Manifest {manifest.name} {manifest.number}  {manifest.digest[:16]}",
        columns=("corpus", "shards", "hours", "windows", "kept", "hours kept"),
        rows=rows[:-1],
        footer=rows[-1:],
    )
    corpora = {name: totals for name, totals in manifest.totals.items() if name != "all"}
    for title, by_corpus in (
        ("Dropped rows:", {name: totals.dropped for name, totals in corpora.items()}),
        ("Quarantined rows:", {name: totals.quarantined for name, totals in corpora.items()}),
    ):
        if lines := list(reason_lines(by_corpus)):
            yield title
            yield from lines


def verification_view(verification: Verification) -> View:
    """Whether the files of a manifest are unchanged.

    A terminal shows only that all are: wrong files are errors, which the command prints itself.
    """
    published = verification.published
    data = {
        "name": published.name,
        "number": published.number,
        "digest": published.digest,
        "files": len(verification.files),
        "bytes": sum(file.size_bytes for file in verification.files),
        "wrong": [
            {
                "path": wrong.checked.file.path,
                "stage": wrong.checked.stage,
                "shard": str(wrong.checked.key),
                "problem": wrong.problem,
                "again": wrong.again,
            }
            for wrong in verification.wrong
        ],
    }
    return View(data, _verification_parts(verification))


def _verification_parts(verification: Verification) -> Iterator[Part]:
    if not verification.wrong:
        name = f"{verification.published.name} {verification.published.number}"
        yield f"{name}: all {len(verification.files)} files are unchanged"


def difference_view(difference: Difference) -> View:
    """The hours and rows that two manifests differ by, and why."""
    return View(difference, _difference_parts(difference))


def _difference_parts(difference: Difference) -> Iterator[Part]:
    numbers = f"{difference.before} \N{RIGHTWARDS ARROW} {difference.after}"
    for title, text in (
        (f"Manifest {difference.name} {numbers}, hours", _hours),
        ("Utterances", _utterances),
    ):
        yield _amounts(title, difference.splits, text)
    yield "Causes:"
    yield from (f"  {_cause(cause)}" for cause in difference.causes)
    if not difference.causes:
        yield "  none: no setting, version or result differs"
    if difference.left_out:
        yield "Rejected rows, more or fewer than before:"
        yield from (f"  {name}: {_deltas(rows)}" for name, rows in difference.left_out.items())
    yield (
        f"{len(difference.only_before)} shards removed, {len(difference.only_after)} added,"
        f" {len(difference.changed)} with other files; --json lists them"
    )


def _amounts(title: str, splits: Sequence[SplitChange], text: Callable[[Amount], str]) -> Figures:
    return Figures(
        title=title,
        columns=("corpus/split", "before", "removed", "added", "after"),
        rows=[
            (
                f"{line.corpus}/{line.split}",
                *(text(amount) for amount in (line.before, line.went, line.came, line.after)),
            )
            for line in splits
        ],
    )


def _hours(amount: Amount) -> str:
    return f"{amount.hours:.2f}"


def _utterances(amount: Amount) -> str:
    return f"{amount.utterances:,}"


def _cause(cause: Cause) -> str:
    before, after = ("-" if value is None else str(value) for value in (cause.before, cause.after))
    corpora = ", ".join(cause.corpora[:_NUM_CORPORA])
    more = len(cause.corpora) - _NUM_CORPORA
    where = f"; {corpora}{f' and {more} more' if more > 0 else ''}" if corpora else ""
    return f"{cause.what} ({cause.kind}): {before} \N{RIGHTWARDS ARROW} {after}{where}"


def _deltas(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {delta:+}" for reason, delta in rows.items())
