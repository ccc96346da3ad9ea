"""From tables of transcripts (MEASURED) to the figures of a report; no models, no audio."""
