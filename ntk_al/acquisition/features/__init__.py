"""What strategies compute from features: distances, clusters, coverage, calibration."""
