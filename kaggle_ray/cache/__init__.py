"""This machine's cache folder: what is decoded and what is staged, under one budget."""
