"""The paper's claims, tried with the models of a run."""
