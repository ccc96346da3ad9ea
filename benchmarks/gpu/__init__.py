"""The first run on a new GPU: whether what it computes is right, and how fast it is."""
