"""Consecutive tasks of one run on hosts that share no disk."""
