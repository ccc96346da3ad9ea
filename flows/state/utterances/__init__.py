"""Single utterances: their history, their audio, and some to listen to."""
