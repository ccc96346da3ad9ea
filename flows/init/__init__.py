"""A first configuration for speech of one's own: look at the source, propose, write it down."""
