"""Experiments that compare acquisition strategies: from flags to records and figures."""
