"""A world in small for trying the pipeline: synthetic speech, corpora in their genuine formats, a real tiny teacher."""
