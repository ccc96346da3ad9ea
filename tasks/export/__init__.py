"""A manifest written for other libraries."""
