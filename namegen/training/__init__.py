"""From counts to an automaton: fit, compile, quantise, evaluate."""
