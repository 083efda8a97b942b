"""Operators: they resolve connections, call one step of the library each, and hand on small summaries."""
