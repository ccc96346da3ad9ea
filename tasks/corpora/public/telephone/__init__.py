"""Conversations on the telephone from the LDC: two speakers, each on a channel of their own."""
