"""Converts planned segments to utterances: 16 kHz mono FLAC in Parquet."""
