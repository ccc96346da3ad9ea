"""The paper in small: its experiments with a small teacher and a few hours of speech."""
