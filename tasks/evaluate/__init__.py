"""How well and how fast a model transcribes held-out speech."""
