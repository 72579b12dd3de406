"""The empirical tangent kernel: a plan, a record of every layer, and products of tiles."""
