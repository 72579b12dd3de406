"""Helpers that all other packages use and that know nothing about networks."""
