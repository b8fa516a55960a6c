"""In: reads the requests topic, believes a record or refuses it typed, makes its job row. Never decides, never erases."""
