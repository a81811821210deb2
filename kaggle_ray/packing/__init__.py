"""Packs what a run predicts with, for a notebook without a network: weights, code, wheels, and the notebook itself."""
