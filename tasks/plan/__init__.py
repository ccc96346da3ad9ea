"""From annotated segments to planned shards."""
