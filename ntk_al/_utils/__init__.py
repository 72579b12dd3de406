"""Helpers that all other packages use; nothing here knows about networks."""
