"""What can go wrong, by who must act: the user, the owner of the data, or nobody but a retry."""


class DistilleryError(Exception):
    """One clear line: what, found, expected, next step."""


class UserError(DistilleryError):
    """A mistake in a command, a configuration or a permission; exit status 2, never retried."""


class ShardError(DistilleryError):
    """A shard cannot be made from this input; terminal until the input or the code changes."""


class IntegrityError(ShardError):
    """Stored bytes are not the bytes that a receipt or a manifest names."""


class TransientError(DistilleryError):
    """A fault of the network or a server that may pass; retried with back-off."""
