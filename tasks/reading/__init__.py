"""Reads a manifest as a shuffled, resumable stream of training examples."""
