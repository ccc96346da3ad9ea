"""The commands that make or serve web pages."""
