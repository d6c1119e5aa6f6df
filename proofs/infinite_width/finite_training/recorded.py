"""The table of the standard budget as it was measured, for the figure: (width, nonlinear part over the limit, its standard error).

Copied from benchmarks/records/finite_width_standard.json (CPU, float64, three quarters of the fastest step); a test compares them.
"""

CORRECTIONS = {
    ("rnd", 1): (
        (32, -0.17168, 0.00754),
        (128, -0.09215, 0.00357),
        (512, -0.03318, 0.00202),
        (2048, -0.01192, 0.00146),
    ),
    ("rnd", 4): (
        (32, -0.21822, 0.00449),
        (128, -0.13036, 0.00257),
        (512, -0.05678, 0.00163),
        (2048, -0.01932, 0.00084),
    ),
    ("rnd", 16): (
        (32, -0.31154, 0.00500),
        (128, -0.21084, 0.00295),
        (512, -0.11281, 0.00183),
        (2048, -0.04555, 0.00136),
    ),
    ("label_dependence", 1): (
        (32, -0.13734, 0.00463),
        (128, -0.05599, 0.00275),
        (512, -0.02471, 0.00177),
        (1024, -0.01213, 0.00117),
    ),
}
