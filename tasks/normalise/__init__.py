"""From annotated segments to planned shards, and from those to Parquet with audio."""
