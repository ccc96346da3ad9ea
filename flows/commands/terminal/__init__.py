"""What commands print on a terminal, and for programs."""
