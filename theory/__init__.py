"""What is claimed: statements, assumptions, sources, symbols, and closed forms that need no framework."""

if __name__ != "nonvacuous.theory":
    raise ImportError(
        "This folder is the package 'nonvacuous.theory'; importing it as 'theory' would load a second copy of every "
        "class in it. Write 'import nonvacuous.theory' instead."
    )
