"""Kernels of wide networks that are not plainly fully connected: convolution, residual blocks, normalisation, attention."""
