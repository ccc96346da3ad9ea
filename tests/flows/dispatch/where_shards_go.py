"""A stage whose shards write down on which node, and on which card of it, they were made."""

import json
import sys
import time
from pathlib import Path

from benchmarks.finished_shards import CORPUS, receipt_of, write_config
from configs.load import load_config
from flows.server.session import prefect_session
from storage.receipt import Receipt
from storage.stage import Place


def main(address: str, folder: Path, num_shards: int) -> None:
    """Through the flows of real stages, with a server of their own."""
    with prefect_session(folder / "prefect") as wait_until_up:
        wait_until_up()
        _spread(address, folder / "where", num_shards)


def _spread(address: str, folder: Path, num_shards: int) -> None:
    from prefect import flow, task

    from benchmarks.overlap import unit
    from flows.dispatch.advance import FixedUnits
    from flows.dispatch.runs import Runs
    from tasks.run import with_policy

    @task(name="shard")
    def where(path: Path, place: Place) -> Receipt:
        import ray

        context = ray.get_runtime_context()
        found = {"node": context.get_node_id(), "cards": context.get_accelerator_ids()["GPU"]}
        time.sleep(0.5)
        path.write_text(json.dumps(found))
        return receipt_of(place)

    folder.mkdir()
    config = write_config(
        folder.parent, str(folder.parent / "root"), runner="ray", ray_address=address,
        ray_gpus_per_shard=1,
    )  # fmt: skip
    settings = load_config(config)
    units = [unit("label", CORPUS, index) for index in range(num_shards)]
    policed = with_policy(where, settings.runtime)

    @flow(name="label")
    def stage(config: str) -> None:
        runs = Runs(
            config=config,
            settings=settings,
            source=FixedUnits(units),
            num_units=lambda corpus, stage: num_shards,
            task_of=lambda one: (
                policed, {"path": folder / f"{one.key.index}.json", "place": one.place}
            ),
        )  # fmt: skip
        assert runs.make() == []

    stage(str(config))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
