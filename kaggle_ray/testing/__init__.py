"""Contracts that any reporter, launcher or store must pass, and a toy competition."""
