"""One view for each value that a command prints: its JSON, and its lines and tables."""
