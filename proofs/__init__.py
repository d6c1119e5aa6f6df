"""Where a statement, its derivation, its prediction and its checks meet."""

if __name__ != "nonvacuous.proofs":
    raise ImportError(
        "This folder is the package 'nonvacuous.proofs'; importing it as 'proofs' would load a second copy of every "
        "class in it. Write 'import nonvacuous.proofs' instead."
    )
