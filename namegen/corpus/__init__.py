"""Lists of names, how they are split, and their n-gram counts."""
