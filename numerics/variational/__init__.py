"""Gaussian variational parameters of any torch module: factored covariances, initial scales and learning rates, sampled forward passes."""
