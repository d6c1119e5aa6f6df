"""Exact laws of predictive uncertainty as the number of examples grows."""
