"""The card of a manifest, in Markdown: its contents, rejected rows, licences and settings.

It is rendered from the manifest alone, so the same manifest always gives the same card.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from storage.card import opened_card
from storage.manifest import Manifest, Terms, card_path
from storage.store import Store
from tasks.corpora.base import Licence
from tasks.text.display import json_lines, markdown, markdown_code

RIGHTS: Final = {
    "commercial_use": "commercial use",
    "derivatives": "derived works",
    "redistribution": "redistribution of audio or text",
}
"""What a licence may permit, as its field and in words."""


def hub_licence(licences: Iterable[Terms]) -> Mapping[str, str]:
    """The licences of corpora as the Hub names one: Creative Commons in lower case, or `other`."""
    names = {terms.name for terms in licences}
    if len(names) == 1 and (name := names.pop()).startswith("CC") and " " not in name:
        return {"license": name.lower()}
    return {"license": "other", "license_name": "of-each-corpus"}


def render_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    sections = (_head, _contents, _rejected, licence_lines, _settings, _usage)
    return "\n".join(line for section in sections for line in section(manifest)) + "\n"


def read_card(store: Store, manifest: Manifest) -> str:
    """The card stored beside a manifest; rendered from the manifest if there is none.

    Raises `IntegrityError` if it is damaged.
    """
    path = card_path(manifest.name, manifest.number)
    try:
        return opened_card(store.read(path), path)
    except FileNotFoundError:
        return render_card(manifest)


def _head(manifest: Manifest) -> Iterable[str]:
    content, total = manifest.content, manifest.totals["all"]
    corpora = _corpora(manifest)
    teachers = {str(content.settings(name).get("label.teacher", "unknown")) for name in corpora}
    limits = {content.settings(name).get("filter.max_wer_percent", 0.0) for name in corpora}
    yield f"# {markdown(manifest.name)} {manifest.number}"
    yield ""
    names = markdown(", ".join(corpora))
    yield (
        f"Speech with pseudo-labels: {total.windows:,} windows, {total.hours:,.2f} hours, from"
        f" {len(corpora)} {'corpus' if len(corpora) == 1 else 'corpora'} ({names})."
        " Each window is a FLAC recording at 16 kHz with the transcript that a teacher model"
        f" produced. The teacher is {joined(map(markdown_code, sorted(teachers)))}."
    )
    if limits and all(limits):
        yield (
            "A window was kept if its transcript is close to the reference: a word error rate of"
            f" at most {joined(f'{limit:g} %' for limit in sorted(limits))}, and the other rules"
            " below. The transcripts are a model's output and contain its errors."
        )
    yield ""
    digest = markdown_code(manifest.digest)
    yield f"Published {markdown(manifest.published_at)}, digest {digest}."
    if content.missing_shards:
        yield ""
        yield (
            f"**Not complete**: {len(content.missing_shards)} planned shards are missing:"
            f" {markdown(', '.join(content.missing_shards))}."
        )


def _contents(manifest: Manifest) -> Iterable[str]:
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
    yield from ("", "## Contents", "")
    header = ("corpus", "shards", "windows", "utterances", "hours", "hours labelled", "% kept")
    yield from table(header, rows)


def _rejected(manifest: Manifest) -> Iterable[str]:
    rows = [
        [corpus, _counts(totals.dropped), _counts(totals.quarantined)]
        for corpus, totals in manifest.totals.items()
    ]
    yield from ("", "## Rejected rows", "")
    yield "Dropped by a rule, or quarantined because the row is unreadable or invalid."
    yield ""
    yield from table(("corpus", "dropped", "quarantined"), rows)


def licence_lines(manifest: Manifest) -> Iterable[str]:
    """The section on licences: a table by corpus, and what all of them together allow."""
    rows = [
        [
            corpus,
            terms.name,
            *("yes" if getattr(terms, right) else "no" for right in RIGHTS),
            terms.to_sign,
            terms.note,
        ]
        for corpus, terms in manifest.licences.items()
    ]
    yield from ("", "## Licences", "")
    yield from table(("corpus", "licence", *RIGHTS.values(), "agreement needed", "note"), rows)
    yield ""
    yield "Using the whole set requires complying with every licence:"
    yield ""
    for right, words in RIGHTS.items():
        yield f"- {words}: {_together(manifest.licences, right)}"
    yield ""
    yield (
        "This is what the distributors state; it is not legal advice. The transcripts are made"
        " from the recordings. Whether they, or a model trained on them, are derived works is not"
        " settled here."
    )


def _together(licences: Mapping[str, Terms], right: str) -> str:
    found = refusing(licences, right)
    because = markdown(joined(found))
    return f"not allowed, because of {because}" if found else "allowed by every corpus"


def refusing(licences: Mapping[str, Terms | Licence], right: str) -> list[str]:
    """The corpora whose licence does not permit one of `RIGHTS`."""
    return [corpus for corpus, terms in licences.items() if not getattr(terms, right)]


def _settings(manifest: Manifest) -> Iterable[str]:
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
    yield from ("", "## How to reproduce it", "")
    yield (
        "`distillery run CONFIG --until publish`, with a configuration of the settings below, gives"
        " the same content and digest. With a float32 teacher on a CPU the result is identical to"
        " the byte; on other devices the last bits of computed values can differ. Settings shared"
        " by all corpora:"
    )
    written = json_lines(json.dumps(shared, indent=1, ensure_ascii=False))
    yield from ("", "```json", written, "```", "")
    yield from ("Settings per corpus:", "")
    yield from table(("setting", "corpus", "value"), rows)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    yield from ("", f"Made with {markdown(versions)}.")


def _usage(manifest: Manifest) -> Iterable[str]:
    yield from ("", "## How to read it", "")
    yield f"- `distillery manifest verify CONFIG {manifest.number}` checks the hash of every file."
    yield (
        f"- `distillery manifest export CONFIG {manifest.number} --to hf FOLDER` writes a Hugging"
        " Face data set; `--to nemo` writes audio files and a NeMo manifest."
    )
    path = markdown_code(f"manifests/{manifest.name}/{manifest.number:05d}.json")
    yield (
        f"- {path} lists the Parquet files of each"
        " shard by stage, by path below the root: `normalise` has the audio, `label` the"
        " transcripts, `score` the evidence and `filter` the kept windows. Join them by"
        " `window_id`, and the audio by the `utterance_ids` of a window. Only the windows and"
        " utterances in `filter` belong to the manifest. Where a window has a `cut`, it gives the"
        " tokens of the label that belong to the kept utterances."
    )


def _corpora(manifest: Manifest) -> list[str]:
    return list(manifest.licences)


def _counts(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterable[str]:
    """A table in Markdown, its cells made harmless."""
    yield _line(header)
    yield f"|{' --- |' * len(header)}"
    yield from map(_line, rows)


def _line(cells: Sequence[object]) -> str:
    return f"| {' | '.join(markdown(str(cell)) for cell in cells)} |"


def joined(words: Iterable[str]) -> str:
    """Words with commas and an `and`; `none` if there are none."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last
