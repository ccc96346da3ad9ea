"""The state of a grid of runs, and the report on it; no Prefect, prints nothing."""
