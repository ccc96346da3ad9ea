"""Training checkpoints: the files of a step, complete once the list of them is stored."""

from collections.abc import Mapping

from pydantic import TypeAdapter

from storage.receipt import FileRef
from storage.record import parse, sealed
from storage.store import Store

_LIST = "files.json"
_FILES = TypeAdapter(dict[str, FileRef])


class StoreCheckpoints:
    """Checkpoints below `folder`; only the newest complete step is kept."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder

    def save(self, step: int, files: Mapping[str, bytes]) -> None:
        """Store the files of a step atomically, then delete earlier steps."""
        folder = self._step_folder(step)
        refs: dict[str, FileRef] = {}
        for name, data in files.items():
            with self._store.sink(folder) as sink:
                sink.write(data)
                refs[name] = self._store.keep(sink, f"{folder}/{sink.sha256[:8]}.{name}")
        self._store.put_if_absent(f"{folder}/{_LIST}", sealed(_FILES.dump_json(refs, indent=1)))
        for path in self._store.list(self._folder):
            if self._step_of(path) < step:
                self._store.delete(path)

    def latest(self) -> tuple[int, dict[str, bytes]] | None:
        """The latest complete step and its files; None if there is none.

        Raises `IntegrityError` if a file or the list of them is damaged.
        """
        listed = [path for path in self._store.list(self._folder) if path.endswith(f"/{_LIST}")]
        if not listed:
            return None
        newest = max(listed, key=self._step_of)
        files: dict[str, bytes] = {}
        refs = parse(self._store.read(newest), newest, _FILES.validate_json)
        for name, ref in refs.items():
            with self._store.fetch(ref) as path:
                files[name] = path.read_bytes()
        return self._step_of(newest), files

    def clear(self) -> None:
        """Delete all steps, once the training has ended."""
        for path in self._store.list(self._folder):
            self._store.delete(path)

    def _step_folder(self, step: int) -> str:
        return f"{self._folder}/step-{step:08d}"

    def _step_of(self, path: str) -> int:
        return int(path.removeprefix(f"{self._folder}/step-").split("/")[0])
