"""`mkc erasure` and `mkc receipt`: ask, list, preview, approve, verify. Asks by records as everybody does; never erases."""
