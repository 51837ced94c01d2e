"""The automaton: a model in integers, and what is computed from it exactly."""
