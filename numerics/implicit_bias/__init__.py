"""Where gradient descent ends up on linear models, point estimates and Gaussian variational families alike."""
