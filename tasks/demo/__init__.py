"""A world in small: synthetic speech, corpora in their genuine formats, a real tiny teacher."""
