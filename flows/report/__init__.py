"""The page about a run: what came out of it, in one file that opens anywhere."""
