"""The flow of a grid: what its runs share once, then each run, one after the other."""

from collections.abc import Mapping

from prefect import flow, get_run_logger

from configs.grid_runs import LoadedGrid, load_grid
from flows.dispatch.artifacts import show_grid
from flows.dispatch.progress import progress
from flows.pipeline import RunFailed, pipeline
from flows.server.credentials import load_run
from flows.stages import open_store
from flows.state.grid.reading import LAST_SHARED, first_pending, read_grid
from storage.errors import DistilleryError
from tasks.stages import STAGE_NAMES


class GridFailed(DistilleryError):
    """Runs of a grid that failed: `errors` has why, by the configuration that commands take."""

    def __init__(self, errors: Mapping[str, Exception]) -> None:
        super().__init__("; ".join(f"{config}: {error}" for config, error in errors.items()))
        self.errors = dict(errors)


@flow(name="grid", flow_run_name="grid {grid}")
def run_grid(grid: str, until: str = STAGE_NAMES[-1]) -> None:
    """Every run of a grid up to the stage `until`; what is done already is not done again.

    Up to the filter the runs are the same, and the base makes that first. A run that fails stops no
    other; raises `GridFailed` with all of them at the end, and what the pipeline of the base raises
    if that fails, unless `publish.allow_missing_shards` lets runs go on without the missing shards.
    """
    loaded = load_grid(grid)
    store = open_store(load_run(loaded.base))
    _make_shared(loaded, until)
    errors: dict[str, Exception] = {}
    runs = [run for run in loaded.runs if first_pending(run.settings, store, until)]
    bar = progress().bar("runs", len(runs), "runs")
    for run in runs:
        bar.say(run.name)
        state = pipeline(run.config, until, return_state=True)
        if state.is_completed():
            bar.advance()
            continue
        error = state.result(raise_on_failure=False)
        errors[run.config] = error if isinstance(error, Exception) else RuntimeError(str(error))
        get_run_logger().error("%s failed; the other runs go on: %s", run.name, error)
    show_grid(read_grid(loaded, store, mends=True))
    if errors:
        raise GridFailed(errors)


def _make_shared(grid: LoadedGrid, until: str) -> None:
    last = min(until, LAST_SHARED, key=STAGE_NAMES.index)
    if not first_pending(grid.settings, open_store(grid.settings), last):
        return
    try:
        pipeline(grid.base, last)
    except RunFailed:
        if not grid.settings.publish.allow_missing_shards:
            raise
