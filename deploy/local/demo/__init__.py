"""Demo traffic for `make run`: two invented companies, what Meta would post for them, and what became of each webhook."""
