"""What the benchmarks share. Importing this package imports nothing: peers' processes need it."""
