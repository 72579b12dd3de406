"""Benchmarks, one file each, run as ``python -m``: the kernel, the look-ahead and whole queries.

``harness`` is what they share, ``peers`` the race against other libraries, and ``results`` holds
the raw results of the runs that are reported.
"""
