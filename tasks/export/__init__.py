"""Exports manifests to the formats of other libraries."""
