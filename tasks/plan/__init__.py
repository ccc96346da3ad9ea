"""Assigns annotated segments to shards."""
