"""The progress of a training: its metrics, and the trackers that follow it."""
