"""How pending work is submitted: bounded, watched, here or elsewhere."""
