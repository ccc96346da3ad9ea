"""The score stage: compares labels with references and stores everything a filter may use."""
