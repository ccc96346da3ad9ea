"""`python -m benchmarks.label` compares the labelling engine with others; see `__main__`."""
