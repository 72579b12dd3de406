"""Compares the kernel with other libraries, each in its own process and environment.

Those environments have a different version of JAX or none, so this file imports nothing.
"""
