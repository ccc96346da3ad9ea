"""The Whisper inference engine."""
