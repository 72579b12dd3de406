"""Benchmarks of the kernel, the look-ahead and whole queries, each run with ``python -m``.

``harness`` holds what the benchmarks share, ``peers`` compares with other libraries, and
``results`` holds the raw results of all reported runs.
"""
