"""Corpora that others distribute: a module for each, or a package where they share code."""
