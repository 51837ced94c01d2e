"""One model per file. No model knows about sampling or files.

A model of the counts alone has `fit(counts, ...) -> probabilities`. Unlike these, `mlp` trains a network that predicts
any context, and `blend` mixes two tables.

`probabilities` is float64[S, V]: for each context of the counts, the distribution of the next symbol. Rows sum to 1
within 1e-12.
"""

NETWORKS = ("mlp", "blend")  # slower to fit, so they are fitted only if one of them is asked for
VERSION = 1  # of the models' code, part of a model's id: raised whenever a model fits a different table
