"""Tools for strategies that work on features: distances, clusters and coverage."""
