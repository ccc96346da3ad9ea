"""Text and audio fingerprints of utterances, by which duplicates are found."""
