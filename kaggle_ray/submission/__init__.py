"""Submissions: written, read back, checked against the sample."""
