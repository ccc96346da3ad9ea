"""The corpora: what each hands out, and how its files are read."""
