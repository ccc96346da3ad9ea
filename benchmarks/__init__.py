"""How far each stage is from its floor, measured side by side in one run."""
