"""R's package mlbench: where it is found, how it is read, and what it must hold."""
