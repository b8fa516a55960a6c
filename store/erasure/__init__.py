"""The erasure consumer: the only code that erases. Deletion events become job rows, job rows are driven to their end."""
