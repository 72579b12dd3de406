"""Sweeps: many runs that differ in a few settings, such as strategies and seeds."""
