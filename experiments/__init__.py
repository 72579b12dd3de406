"""Comparisons of acquisition methods: flags in, records and figures out."""
