"""The demo: synthetic speech, small corpora in their distribution formats, a tiny teacher.

A program of its own (`python -m tasks.demo`): nothing else in the package imports it.
"""
