"""The Prefect server: local, deployments, automations, credentials."""
