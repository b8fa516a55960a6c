"""After a restore: positions and rows rebuilt from the topics, fences told again from the rows."""
