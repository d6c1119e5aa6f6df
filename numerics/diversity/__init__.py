"""Losses of averaged models: second-order bounds, diversity, cold posteriors, cumulants of the loss array."""
