"""The work of each stage as pure functions; only `tasks.run` knows Prefect."""
