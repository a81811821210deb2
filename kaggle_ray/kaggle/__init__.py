"""Kaggle: its command line, what was submitted there, and what the scores mean."""
