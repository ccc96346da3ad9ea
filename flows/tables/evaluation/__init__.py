"""The sections of the view of an evaluation; a section is empty if nothing in it was measured."""
