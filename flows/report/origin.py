"""The sections about cost, lineage and licences."""

from collections.abc import Iterator, Mapping
from typing import Final

from flows.report.facts import Facts
from flows.report.section import Entries, Entry, Part, Section, Table, Text
from flows.state.cost import StageCost, costs
from flows.tables.figures import Figures
from flows.tables.words import hours_text, moment
from storage.manifest import card_path
from tasks.card import RIGHTS, joined, refusing
from tasks.stages import SHARD_STAGES

_COST: Final = "cost"


def origin_sections(facts: Facts) -> Iterator[Section]:
    """What the run cost, where everything comes from, and what may be done with it."""
    yield _cost(facts)
    yield Section(id="lineage", title="Lineage", parts=tuple(_lineage(facts)))
    yield Section(id="licences", title="Licences", parts=tuple(_licences(facts)))


def _cost(facts: Facts) -> Section:
    found = costs(facts.status.stages)
    title = "Cost"
    if not found:
        nothing = "No shard states how long it took; `distillery run CONFIG` makes some."
        return Section(id=_COST, title=title, missing=nothing)
    device = sum(one.work_hours for one in found if one.is_on_device)
    others = sum(one.work_hours for one in found if not one.is_on_device)
    fills = facts.status.window_fills()
    figures = Figures(
        title="Work by stage: its shards one after the other",
        columns=(
            "stage", "corpus", "on", "hours of\nspeech", "hours of\nwork", "times\nreal time",
            "window\nfill",
        ),
        rows=[_cost_row(one, fills) for one in found],
        footer=[
            ("all", "", "a device", "", hours_text(device), "", ""),
            ("all", "", "a worker", "", hours_text(others), "", ""),
        ],
        num_keys=3,
    )  # fmt: skip
    about = (
        "Times are those of the shards as they are now, from their receipts; work that was lost or"
        " replaced, and the training, are not in them. Window fill is the share of the teacher's"
        " windows with audio."
    )
    return Section(id=_COST, title=title, parts=(Text(about), Table(figures)))


def _cost_row(one: StageCost, fills: Mapping[str, float]) -> tuple[str, ...]:
    is_labelled = one.stage == "label" and one.corpus in fills
    return (
        one.stage,
        one.corpus,
        "a device" if one.is_on_device else "a worker",
        hours_text(one.hours),
        f"{one.work_hours:,.3f}",
        "-" if one.times_real_time is None else f"{one.times_real_time:,.1f}",
        f"{fills[one.corpus]:.0%}" if is_labelled else "",
    )


def _lineage(facts: Facts) -> Iterator[Part]:
    """The records of the run with their digests, the corpora, and the versions that made it."""
    yield Entries("Records", tuple(_records(facts)))
    corpora = (
        Entry(one.name, f"{one.title}, revision {one.revision}", one.homepage)
        for one in (state.corpus for state in facts.states)
    )
    yield Entries("Corpora", tuple(corpora))
    stages = ("plan", *SHARD_STAGES)
    figures = Figures(
        title="Fingerprints: what decides the result of each stage",
        columns=("corpus", *stages),
        rows=[
            (state.name, *(state.fingerprints.get(stage, "-") for stage in stages))
            for state in facts.states
        ],
        num_keys=1 + len(stages),
    )
    yield Table(figures, is_folded=True)
    if facts.published is not None:
        versions = facts.published.versions.items()
        yield Text(f"Made with {', '.join(f'{name} {version}' for name, version in versions)}.")


def _records(facts: Facts) -> Iterator[Entry]:
    if (published := facts.published) is not None:
        what = f"{published.name} {published.number}, published {moment(published.published_at)}"
        yield Entry("manifest", what, published.path, published.digest)
        path = card_path(published.name, published.number)
        yield Entry("card", "the manifest in words", path)
        settings = (published.content.settings(name) for name in published.licences)
        teachers = {str(one["label.teacher"]) for one in settings if "label.teacher" in one}
        yield from (Entry("teacher", teacher) for teacher in sorted(teachers))
    else:
        yield Entry("manifest", "the shards as they are now are not published")
    if facts.student is not None:
        weights = facts.student.output
        made = f"trained {moment(facts.student.finished_at)}"
        yield Entry("student", made, weights.path, weights.sha256)


def _licences(facts: Facts) -> Iterator[Part]:
    """The licence of each corpus, and what all of them together permit."""
    licences = {state.name: state.corpus.licence for state in facts.states}
    figures = Figures(
        title="What each licence permits, as its distributor states it; this is no legal advice",
        columns=("corpus", "licence", *RIGHTS.values(), "agreement needed", "note"),
        rows=[
            (
                corpus,
                terms.name,
                *("yes" if getattr(terms, right) else "no" for right in RIGHTS),
                terms.to_sign or "none",
                terms.note,
            )
            for corpus, terms in licences.items()
        ],
        num_keys=len(RIGHTS) + 4,
    )
    yield Table(figures)
    for right, words in RIGHTS.items():
        against = refusing(licences, right)
        allowed = f"not allowed, because of {joined(against)}" if against else "allowed by all"
        yield Text(f"All together, {words}: {allowed}.")
