"""Programs that convert a student; each runs by its path in an interpreter with the libraries."""
