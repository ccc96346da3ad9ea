"""Training checkpoints: the files of a step, complete once the list of them is stored."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter

from storage.receipt import FileRef
from storage.record import parse, sealed
from storage.store import Store

_LIST: Final = "files.json"
_FILES: Final = TypeAdapter(dict[str, FileRef])
_NUM_KEPT: Final = 2
_STEP: Final = re.compile(r"/step-([0-9]{8,})/")


class StoreCheckpoints:
    """Checkpoints below `folder`; the two newest complete steps are kept, one to fall back on."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def save(self, step: int, files: Mapping[str, bytes]) -> None:
        """Store the files of a step atomically, then delete those before the previous one."""
        folder = self._step_folder(step)
        refs: dict[str, FileRef] = {}
        for name, data in files.items():
            with self._store.sink(folder) as sink:
                sink.write(data)
                refs[name] = self._store.keep(sink, f"{folder}/{sink.sha256[:8]}.{name}")
        self._store.put_if_absent(self.location(step), sealed(_FILES.dump_json(refs, indent=1)))
        complete = self._complete_steps()
        oldest = complete[-_NUM_KEPT:][0]
        for path, of_step in self._stored().items():
            if of_step < oldest:
                self._store.delete(path)

    def latest(self) -> tuple[int, dict[str, bytes]] | None:
        """The latest complete step and its files; None if there is none.

        Raises `IntegrityError` if a file or the list of them is damaged. Without that step, the one
        before is the latest.
        """
        complete = self._complete_steps()
        return (complete[-1], self.files(complete[-1])) if complete else None

    def location(self, step: int) -> str:
        """The path of the list of the files of a step, below the root."""
        return f"{self._step_folder(step)}/{_LIST}"

    def clear(self) -> None:
        """Delete all steps, once the training has ended."""
        for path in self._stored():
            self._store.delete(path)

    def files(self, step: int) -> dict[str, bytes]:
        """The files of a complete step; raises `IntegrityError` if one of them is damaged."""
        listed = self.location(step)
        files: dict[str, bytes] = {}
        for name, ref in parse(self._store.read(listed), listed, _FILES.validate_json).items():
            with self._store.fetch(ref) as path:
                files[name] = path.read_bytes()
        return files

    def _complete_steps(self) -> list[int]:
        """In rising order."""
        return sorted(step for path, step in self._stored().items() if path == self.location(step))

    def _stored(self) -> dict[str, int]:
        """Step by path of the files of all steps; what others left in the folder is ignored."""
        below = self._store.list(self._folder)
        found = {path: _STEP.match(path, len(self._folder)) for path in below}
        return {path: int(match[1]) for path, match in found.items() if match is not None}

    def _step_folder(self, step: int) -> str:
        return f"{self._folder}/step-{step:08d}"
