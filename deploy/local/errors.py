"""The one error of the local stack: a sentence for the person at the terminal."""


class LocalStackError(Exception):
    """The local stack cannot do what was asked; the text says why and what to change."""
