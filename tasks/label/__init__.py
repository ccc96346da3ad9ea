"""The label stage: the teacher transcribes normalised speech into pseudo-labels."""
