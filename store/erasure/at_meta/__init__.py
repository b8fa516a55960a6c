"""The same asked of Meta: its contact book, and what a request named for that, under day keys. Never holds a request up."""
