"""Follows a training with TensorBoard, Trackio, MLflow or W&B, through accelerate's adapters.

A training that resumes continues its run. TensorBoard drops what was logged after the checkpoint;
the others keep it, and only steps that they do not have yet are added. Of the configuration only
what decides the student is logged: no path, no URL, no setting of the machine. MLflow and W&B add
what they note of every run, such as the user and the program.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from configs.schema import RunConfig
from storage.errors import UserError
from storage.store import Store
from tasks.distil.progress.choice import chosen_trackers, tracker_folder
from tasks.distil.progress.rows import OnRows, TrainingRow
from tasks.distil.stage import distil_parameters
from tasks.stage import Parameter

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

    from tasks.distil.validation import OnValidation, Validation

LOG = logging.getLogger(__name__)

_LOSS: Final = "train/loss"
_WER: Final = "validation/wer_percent"
_TAG: Final = "distillery.student"


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A training as trackers show it: a run of a project, named by the student's fingerprint."""

    folder: Path
    project: str
    name: str
    settings: Mapping[str, bool | float | str | None]

    @classmethod
    def of(
        cls, folder: Path, project: str, name: str, parameters: Iterable[Parameter]
    ) -> "TrackedRun":
        """The run of a student with these parameters; lists and blocks are logged as JSON."""
        values = {one.name: one.value for one in parameters}
        plain = {
            key: value if isinstance(value, bool | int | float | str | None) else json.dumps(value)
            for key, value in values.items()
        }
        return cls(folder=folder, project=project, name=name, settings=plain)


@dataclass(slots=True)
class _Open:
    """A tracker that is open, and the last step that it has of the losses and of the scores."""

    tracker: "GeneralTracker"
    is_new: bool
    last: Mapping[str, int]


class Tracking:
    """Logs each update and each validation of a training; close it at the end.

    The trackers start with the first call of `report`, which tells the step that the training
    resumes after. One that fails later is left out from there on, with a warning, because nothing
    depends on it.
    """

    def __init__(self, names: Sequence[str], run: TrackedRun) -> None:
        self._names, self._run = names, run
        self._by_set: Mapping[str, float | None] = {}
        self._open: dict[str, _Open] = {}
        self._is_started = False

    def report(self, rows: Sequence[TrainingRow]) -> None:
        """Log the newest row: an `OnRows`. Raises `UserError` if a tracker cannot start."""
        if not self._is_started:
            self._is_started = True
            for name in self._names:
                self._open[name] = _started(name, self._run, rows[-1].step if rows else 0)
            return
        row = rows[-1]
        if row.validation is None:
            self._log(row.step, _LOSS, _losses(row))
        else:
            self._log(row.step, _WER, _rates(row.validation, self._by_set))

    def validated(self, validation: "Validation") -> None:
        """Note the rates of the sets, which are logged with the row of the update."""
        self._by_set = validation.by_set

    def close(self) -> None:
        """Write what is left and end the runs."""
        for name in list(self._open):
            self._guarded(name, lambda one: one.tracker.finish())

    def _log(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        for name, one in list(self._open.items()):
            if step > one.last.get(kind, 0):
                self._guarded(name, lambda one: one.tracker.log(dict(values), step=step))

    def _guarded(self, name: str, act: Callable[[_Open], None]) -> None:
        try:
            act(self._open[name])
        except Exception:
            LOG.exception("%s follows the training no longer", name)
            del self._open[name]


@contextmanager
def following(
    config: RunConfig, store: Store, receipt_path: str, also: OnRows
) -> Iterator[tuple[OnRows, "OnValidation"]]:
    """What is to be told of the rows and the validations of a student; `also` gets the rows too.

    The student is named by the fingerprint in the path of its receipt. Raises `UserError` as
    `chosen_trackers` does.
    """
    names = chosen_trackers(config.runtime)
    fingerprint = receipt_path.rsplit("/", 2)[-2]
    folder = tracker_folder(config.runtime, store)
    run = TrackedRun.of(folder, config.publish.name, fingerprint, distil_parameters(config))
    tracking = Tracking(names, run)

    def report(rows: Sequence[TrainingRow]) -> None:
        tracking.report(rows)
        also(rows)

    with closing(tracking):
        yield report, tracking.validated


def _losses(row: TrainingRow) -> dict[str, float]:
    values = {
        _LOSS: row.loss,
        "train/ce": row.ce,
        "train/kl": row.kl,
        "train/learning_rate": row.learning_rate,
    }
    return values | {"train/mse": row.mse} if row.mse else values


def _rates(score: float, by_set: Mapping[str, float | None]) -> dict[str, float]:
    """The rates that could be measured: over all sets, and of each."""
    rates = {_WER: score, **{f"{_WER}_by_set/{name}": rate for name, rate in by_set.items()}}
    return {name: rate for name, rate in rates.items() if rate is not None and math.isfinite(rate)}


def _started(name: str, run: TrackedRun, step: int) -> _Open:
    """Open a tracker for a training that resumes after `step`."""
    try:
        from accelerate import PartialState

        PartialState()  # which accelerate's own log requires
        run.folder.mkdir(parents=True, exist_ok=True)
        made = _OPEN[name](run, step)
        made.tracker.start()
        if made.is_new:
            made.tracker.store_init_configuration(dict(run.settings))
    except Exception as error:
        raise UserError(
            f"{name} cannot follow the training: {type(error).__name__}:"
            f" {' '.join(str(error).split())}; set it up, or leave it out of runtime.trackers"
        ) from error
    return made


def _tensorboard(run: TrackedRun, step: int) -> _Open:
    from accelerate.tracking import TensorBoardTracker

    # its reader drops what an earlier process logged from the purged step on
    tracker = TensorBoardTracker(run.name, run.folder / run.project, purge_step=step + 1)
    return _Open(tracker, not (run.folder / run.project / run.name).exists(), {})


def _trackio(run: TrackedRun, step: int) -> _Open:
    os.environ.setdefault("TRACKIO_DIR", str(run.folder / "trackio"))  # read when it is imported
    from accelerate.tracking import TrackioTracker
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs(run.project, run.name)
    last = {
        kind: max((row["step"] for row in logs if kind in row), default=0) for kind in (_LOSS, _WER)
    }
    tracker = TrackioTracker(
        run.project, name=run.name, resume="allow", auto_log_gpu=False, auto_log_cpu=False
    )
    return _Open(tracker, not logs, last)


def _mlflow(run: TrackedRun, step: int) -> _Open:
    import mlflow
    from accelerate.tracking import MLflowTracker

    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{run.folder / 'mlflow.db'}")
    found = mlflow.search_runs(
        experiment_names=[run.project],
        filter_string=f"tags.`{_TAG}` = '{run.name}'",
        output_format="list",
    )
    run_id = found[0].info.run_id if found else None
    client = mlflow.MlflowClient()
    last = {
        kind: max((one.step for one in client.get_metric_history(run_id, kind)), default=0)
        for kind in (_LOSS, _WER)
        if run_id is not None
    }
    tracker = MLflowTracker(
        run.project, run_id=run_id, run_name=run.name, tags=None if found else {_TAG: run.name}
    )
    return _Open(tracker, run_id is None, last)


def _wandb(run: TrackedRun, step: int) -> _Open:
    from accelerate.tracking import WandBTracker

    # it refuses steps that it has; console output, code and the state of git stay here
    tracker = WandBTracker(
        run.project,
        id=run.name,
        name=run.name,
        resume="allow",
        dir=str(run.folder),
        settings={"console": "off", "disable_code": True, "disable_git": True},
    )
    return _Open(tracker, is_new=True, last={})


_OPEN: Final[Mapping[str, Callable[[TrackedRun, int], _Open]]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
