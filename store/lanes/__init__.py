"""Lanes: one per assigned tenant partition; they open, fence, encrypt and persist. Never erases, never provisions."""
