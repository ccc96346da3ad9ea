"""A grid on this machine: checks, synthetic corpora, a Prefect API, and the flows in this process.

It prints nothing, as `flows.local_run`.
"""

from collections.abc import Mapping
from pathlib import Path

from configs.grid_runs import LoadedGrid
from flows.doctor.examine import require_possible
from flows.server.session import prefect_session
from flows.state.grid.reading import first_pending
from flows.synthetic import synthesise
from storage.store import Store


def run_grid_locally(
    grid: LoadedGrid, store: Store, until: str, prefect_home: Path
) -> Mapping[str, Exception]:
    """Process what is pending of all runs up to `until`; starts nothing when nothing is pending.

    Returns why runs failed, by the configuration that commands take. Raises
    `ImpossibleRunError` before anything is downloaded if runs are known to fail, and
    `flows.pipeline.RunFailed` naming what failed of what all runs share.
    """
    if not any(first_pending(run.settings, store, until) for run in grid.runs):
        return {}
    require_possible(grid.settings, store, until)
    with prefect_session(prefect_home) as wait_until_up:
        from flows.grid import GridFailed, run_grid

        synthesise(grid.settings, store)  # while the server starts
        wait_until_up()
        try:
            run_grid(grid.path, until)
        except GridFailed as failed:
            return failed.errors
    return {}
