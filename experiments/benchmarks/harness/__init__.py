"""Tools shared by the benchmarks.

This file imports nothing, because the processes of ``peers`` import it without our libraries.
"""
