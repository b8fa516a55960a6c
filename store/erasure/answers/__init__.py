"""The answer: a signed receipt of what was done, and the inventory of copies that remain until they expire."""
