"""What each kind of request deletes, fences and joins, each step repeatable. Never tells anybody: see `telling`."""
