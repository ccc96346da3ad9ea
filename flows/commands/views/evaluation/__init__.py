"""The sections of the view of an evaluation; a section of which nothing is measured is empty."""
