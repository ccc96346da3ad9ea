"""Whether the files of a manifest are unchanged, and which command repairs one that is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.rerun import repair_command
from storage import manifest
from storage.manifest import Checked, Manifest
from storage.receipt import FileRef
from storage.store import Store


@dataclass(frozen=True)
class WrongFile:
    """A file that is missing or damaged; `again` is the command that repairs it."""

    checked: Checked
    problem: str
    again: str


@dataclass(frozen=True)
class Verification:
    """The files of a manifest, and those of them that are wrong."""

    published: Manifest
    files: Sequence[FileRef]
    wrong: Sequence[WrongFile]


def files_of(published: Manifest) -> list[FileRef]:
    """All files that a manifest names."""
    return list(manifest.all_files(published.content.entries))


def verify(
    config: Path,
    settings: RunConfig,
    store: Store,
    published: Manifest,
    on_file: Callable[[], None],
) -> Verification:
    """Hash every file of a manifest; calls `on_file` after each."""
    wrong: list[WrongFile] = []
    for checked in manifest.verify(store, published):
        on_file()
        if checked.wrong is not None:
            again = _command(config, settings, store, published, checked)
            wrong.append(WrongFile(checked, checked.wrong, again))
    return Verification(published, files_of(published), wrong)


def _command(
    config: Path, settings: RunConfig, store: Store, published: Manifest, wrong: Checked
) -> str:
    """The command that recreates a file, if the settings are still those that created it."""
    command = repair_command(config, wrong.stage, wrong.key)
    created_by = published.content.fingerprints.get(wrong.stage, {}).get(wrong.key.corpus)
    if wrong.key.corpus in settings.corpora:
        state = CorpusState(settings, store, wrong.key.corpus)
        if state.fingerprints[wrong.stage] == created_by:
            return command
    number = published.number
    return f"{command}, with the configuration that published {number}: this one has changed"
