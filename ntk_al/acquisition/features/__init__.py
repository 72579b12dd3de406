"""Tools for strategies that work on features: distances, clusters, coverage and calibration."""
