"""Transcription of recordings that are longer than a model's window."""
