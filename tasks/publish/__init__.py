"""Which shards a manifest holds."""
