"""What is computed: certified scalars, bounds, kernels, finite networks, methods, verdicts."""

if __name__ != "nonvacuous.numerics":
    raise ImportError(
        "This folder is the package 'nonvacuous.numerics'; importing it as 'numerics' would load a second copy of every "
        "class in it. Write 'import nonvacuous.numerics' instead."
    )
