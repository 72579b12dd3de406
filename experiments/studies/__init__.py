"""Studies that measure what the paper's theory says about wide networks.

Each is run with ``python -m`` and writes one JSON file. ``problem`` draws the points, ``networks``
holds what is trained, ``descent`` trains it, ``results`` keeps the file that a killed study goes on
from, and ``scaling`` has the statistics.
"""
