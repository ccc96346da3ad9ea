"""The tables of what was found, for the terminal and for pages alike."""
