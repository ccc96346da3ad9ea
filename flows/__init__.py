"""The story: the order of the stages, the command line, the deployments."""
