"""Kernels of infinitely wide networks, computed by neural-tangents."""
