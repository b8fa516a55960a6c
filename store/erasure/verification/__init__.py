"""To doubt a receipt: tries to find and open what should be gone. Reads only; imports nothing of what erased."""
