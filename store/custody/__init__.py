"""The custodian and the operators' commands: tenants, slots, accounts, keys, partitions, the ledger. Never on the hot path."""
