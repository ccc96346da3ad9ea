"""A stage whose shards write down on which node, and on which card of it, they were made."""

import json
import sys
import time
from pathlib import Path

from flows.server.session import prefect_session


def main(address: str, folder: Path, num_shards: int) -> None:
    """Through the flows of real stages, with a server of their own."""
    with prefect_session(folder / "prefect") as wait_until_up:
        wait_until_up()
        _spread(address, folder / "where", num_shards)


def _spread(address: str, folder: Path, num_shards: int) -> None:
    from flows.dispatch.gather import gather_in_parts
    from prefect import flow, task

    from configs.schema import Runtime
    from flows.dispatch.progress import progress
    from storage.shard import ShardKey
    from tasks.run import with_policy

    @task(name="shard")
    def where(path: Path) -> None:
        import ray

        context = ray.get_runtime_context()
        found = {"node": context.get_node_id(), "cards": context.get_accelerator_ids()["GPU"]}
        time.sleep(0.5)
        path.write_text(json.dumps(found))

    @flow(name="label")
    def stage() -> int:
        runtime = Runtime(runner="ray", ray_address=address, ray_gpus_per_shard=1)
        keys = [ShardKey("corpus", "train", index) for index in range(num_shards)]
        work = {key: {"path": folder / f"{key.index}.json"} for key in keys}
        bar = progress().bar("label", num_shards, "shards")
        return gather_in_parts(
            with_policy(where, runtime), "label", work, runtime, bar, lambda: None
        )

    folder.mkdir()
    assert stage() == num_shards


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
