"""JAX programs (jaxprs): flattening them, and looking at their equations."""
