"""This package as a part of other active-learning libraries; each adapter imports its library."""
