"""Every statement of the package, area by area. Definitions and algorithms are here too: `show` finds them."""
