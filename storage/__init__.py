"""Files, digests, receipts and manifests: where results are stored and how they are committed."""
