"""Studies that measure what the paper's theory says about wide networks.

Each is run with ``python -m`` and writes one JSON file. ``networks`` holds what is trained,
``results`` the file that a killed study goes on from, and ``scaling`` the statistics.
"""
