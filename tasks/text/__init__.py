"""Text normalisation and word errors."""
