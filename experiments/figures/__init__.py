"""Figures of runs and sweeps. ``python -m experiments.figures NAME --workdir=...`` draws one."""
