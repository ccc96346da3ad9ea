"""Batched token-by-token decoding with a KV cache."""
