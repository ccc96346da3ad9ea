"""The demo: synthetic speech, small corpora in their distribution formats, a tiny teacher.

A program of its own (`python -m tasks.demo`): nothing else in the package imports it. `speech`
makes utterances, `formats` writes them as files, `corpora` arranges them in the layout of the
real corpora; `teaching` trains the teacher whose weights are in the folder `teacher`.
"""
