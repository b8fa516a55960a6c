"""The audit log: what was done, free of personal data, in a Merkle tree whose heads are anchored outside the database."""
