"""The card of a manifest: what it is, what was left out, what one may do with it, in Markdown.

Made from the manifest alone, so that it can be made again at any time.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from storage.manifest import Manifest, Terms

_RIGHTS: Final = {
    "commercial_use": "commercial use",
    "derivatives": "derived works",
    "redistribution": "passing the audio or the texts on",
}


def card(manifest: "Manifest") -> str:
    """The card as Markdown: the same text whenever it is made."""
    sections = (_head, _amounts, _rejected, _licences, _making, _reading)
    return "\n".join(line for section in sections for line in section(manifest)) + "\n"


def _head(manifest: "Manifest") -> Iterable[str]:
    content, total = manifest.content, manifest.totals["all"]
    corpora = _corpora(manifest)
    teachers = {str(content.settings(name).get("label.teacher", "unknown")) for name in corpora}
    limits = {content.settings(name).get("filter.max_wer_percent", 0.0) for name in corpora}
    yield f"# {manifest.name} {manifest.number}"
    yield ""
    yield (
        f"Speech with labels that a teacher made: {total.windows:,} windows,"
        f" {total.hours:,.2f} hours, from {len(corpora)} {_plural('corpus', len(corpora))}"
        f" ({', '.join(corpora)}). Each window is a FLAC recording of 16 kHz and what the teacher"
        f" heard in it. The teacher is {_and(f'`{name}`' for name in sorted(teachers))}."
    )
    if limits and all(limits):
        yield (
            "A window was kept where what the teacher heard is close to the reference: a word"
            f" error rate of at most {_and(f'{limit:g} %' for limit in sorted(limits))}, and the"
            " other rules below. The labels are a machine's and have its errors."
        )
    yield ""
    yield f"Published {manifest.published_at}, digest `{manifest.digest}`."
    if content.missing_shards:
        yield ""
        yield (
            f"**Not complete**: {len(content.missing_shards)} planned shards are missing:"
            f" {', '.join(content.missing_shards)}."
        )


def _amounts(manifest: "Manifest") -> Iterable[str]:
    rows = [
        [
            corpus,
            totals.shards,
            f"{totals.windows:,}",
            f"{totals.utterances:,}",
            f"{totals.hours:,.2f}",
            f"{totals.hours_heard:,.2f}",
            f"{100 * totals.hours / totals.hours_heard:.1f}" if totals.hours_heard else "",
        ]
        for corpus, totals in manifest.totals.items()
    ]
    yield from ("", "## What it holds", "")
    header = ("corpus", "shards", "windows", "utterances", "hours", "hours heard", "% of them kept")
    yield from _table(header, rows)


def _rejected(manifest: "Manifest") -> Iterable[str]:
    rows = [
        [corpus, _counts(totals.dropped), _counts(totals.quarantined)]
        for corpus, totals in manifest.totals.items()
    ]
    yield from ("", "## What was left out, and why", "")
    yield "Dropped by a rule; quarantined because it is unreadable or not valid. In rows."
    yield ""
    yield from _table(("corpus", "dropped", "quarantined"), rows)


def _licences(manifest: "Manifest") -> Iterable[str]:
    rows = [
        [
            corpus,
            terms.name,
            *("yes" if getattr(terms, right) else "no" for right in _RIGHTS),
            terms.to_sign,
            terms.note,
        ]
        for corpus, terms in manifest.licences.items()
    ]
    yield from ("", "## What one may do with it", "")
    yield from _table(("corpus", "licence", *_RIGHTS.values(), "to sign or bring", "note"), rows)
    yield ""
    yield (
        "Who uses all of it together is bound by all of these terms at once, so by the strictest"
        " in each column:"
    )
    yield ""
    for right, words in _RIGHTS.items():
        yield f"- {words}: {_together(manifest.licences, right)}"
    yield ""
    yield (
        "This is what the distributors state, and no legal advice. The labels are made from the"
        " recordings; whether they, or a model trained on them, count as derived works is not"
        " settled here."
    )


def _together(licences: Mapping[str, "Terms"], right: str) -> str:
    refusing = [corpus for corpus, terms in licences.items() if not getattr(terms, right)]
    return f"not allowed, because of {_and(refusing)}" if refusing else "allowed by every corpus"


def _making(manifest: "Manifest") -> Iterable[str]:
    settings = {name: manifest.content.settings(name) for name in _corpora(manifest)}
    names = list(dict.fromkeys(name for values in settings.values() for name in values))
    shared: dict[str, Any] = {}
    rows: list[list[object]] = []
    for name in names:
        values = [json.dumps(one.get(name)) for one in settings.values()]
        if len(set(values)) == 1 and name != "plan.revision":
            shared[name] = json.loads(values[0])
        else:
            rows += [[name, corpus, value] for corpus, value in zip(settings, values, strict=True)]
    yield from ("", "## How to make it again", "")
    yield (
        "`distillery run CONFIG --until publish`, with a configuration of the settings below, makes"
        " the same content with the same digest: to the byte where the teacher runs in float32 on"
        " a CPU, elsewhere but for the last bits of what it computes. Settings of all corpora:"
    )
    yield from ("", "```json", json.dumps(shared, indent=1, ensure_ascii=False), "```", "")
    yield from ("Settings of each corpus:", "")
    yield from _table(("setting", "corpus", "value"), rows)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    yield from ("", f"Made with {versions}.")


def _reading(manifest: "Manifest") -> Iterable[str]:
    yield from ("", "## How to read it", "")
    yield f"- `distillery manifest verify CONFIG {manifest.number}` hashes every file again."
    yield (
        f"- `distillery manifest export CONFIG {manifest.number} --to hf FOLDER` makes a data set"
        " of Hugging Face's `datasets` of it; `--to nemo` audio files and a NeMo manifest."
    )
    yield (
        f"- `manifests/{manifest.name}/{manifest.number:05d}.json` names four Parquet files for"
        " each shard, by their paths under the root: `audio`, `label`, `evidence` and `kept`."
        " They are joined by `window_id`, and the audio by the `utterance_ids` of a window; only"
        " the windows in `kept` belong to the manifest, and of each only the utterances that stand"
        " there: where it has a `cut`, that says which of the label's tokens are theirs."
    )


def _corpora(manifest: "Manifest") -> list[str]:
    return list(manifest.licences)


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[str]:
    yield _line(header)
    yield _line(["---"] * len(header))
    yield from map(_line, rows)


def _line(cells: Sequence[object]) -> str:
    texts = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _and(words: Iterable[str]) -> str:
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def _plural(word: str, count: int) -> str:
    return word if count == 1 else {"corpus": "corpora"}[word]
