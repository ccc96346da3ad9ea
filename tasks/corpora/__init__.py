"""The corpora: what each hands out, and how its files are read.

The modules here say what a corpus is and which there are; `public` has the corpora that others
distribute, `local` those that a configuration describes.
"""
