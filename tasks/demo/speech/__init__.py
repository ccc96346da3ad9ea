"""Synthetic speech: sentences, voices and rooms, and how they become utterances and talks."""
