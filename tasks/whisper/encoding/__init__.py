"""From audio to encoder output: features, the encoder, and a cache of what it computed."""
