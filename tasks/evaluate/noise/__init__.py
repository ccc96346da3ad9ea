"""Noise for held-out speech: where it comes from, and how it is mixed at a given ratio."""
