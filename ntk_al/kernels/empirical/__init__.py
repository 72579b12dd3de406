"""The empirical tangent kernel: planned, recorded layer by layer, multiplied in tiles."""
