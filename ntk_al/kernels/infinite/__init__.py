"""Kernels of infinitely wide networks, made by neural-tangents."""
