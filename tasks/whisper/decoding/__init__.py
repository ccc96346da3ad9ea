"""Batched decoding, token by token."""
