"""Benchmarks: the kernel beside its floor and its peers, each a module with a command line."""
