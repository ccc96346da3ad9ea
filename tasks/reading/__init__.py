"""A manifest as a stream of training examples."""
