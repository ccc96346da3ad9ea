"""Training in several processes, on this machine or on several."""
