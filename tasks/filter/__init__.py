"""Which windows are good enough to learn from."""
