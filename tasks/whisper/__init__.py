"""The Whisper inference engine: features, batched decoding, quality checks, ordered results.

Label, distil and evaluate use it; it imports none of them.
"""
