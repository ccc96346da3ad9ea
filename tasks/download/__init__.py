"""Getting the files of a corpus, whole and verified, and finding what is in them."""
