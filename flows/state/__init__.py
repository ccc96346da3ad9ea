"""What is done and what is next, from receipts alone."""
