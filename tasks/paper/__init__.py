"""Figures of the paper (arXiv 2311.00430), each with its table, for reports to show beside ours."""
