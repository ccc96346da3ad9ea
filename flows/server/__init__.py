"""Everything that deals with a Prefect server: local, deployments, automations, credentials."""
