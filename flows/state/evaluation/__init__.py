"""What a run has to measure, what it has measured, and the report on it; from receipts alone."""
