"""The configuration of a run: one frozen, validated value."""
