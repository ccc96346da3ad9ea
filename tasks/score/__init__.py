"""What the teacher wrote is compared with the reference; all that a filter may ask is kept."""
