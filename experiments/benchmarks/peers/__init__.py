"""The kernel beside other libraries, each in a process and an environment of its own.

The processes have no JAX or another one than ours, so importing this package imports nothing.
"""
