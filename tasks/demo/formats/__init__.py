"""Writers of audio files and archives whose bytes depend on their contents alone."""
