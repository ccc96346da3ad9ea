"""The teacher hears speech and writes down what was said."""
