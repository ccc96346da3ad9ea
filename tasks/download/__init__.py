"""Downloads, verifies and indexes the files of a corpus."""
