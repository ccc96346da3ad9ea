"""The student of a run for others: its folder with a model card, other formats, the Hub."""
