"""Corpora that a `local` block of the configuration describes, without code."""
