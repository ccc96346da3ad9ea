"""Small corpora of synthetic speech in the formats in which the real ones are distributed."""
