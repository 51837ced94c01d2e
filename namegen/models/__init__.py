"""One model a file. Each has `fit(counts, ...) -> probabilities`, and knows nothing of sampling or files.

`probabilities` is float64[S, V]: for each context of the counts, the distribution of the next symbol. Rows sum to
1 within 1e-12.
"""

NETWORKS = ("mlp", "blend")  # those that take longer to fit, and are fitted only where one of them is asked for
VERSION = 1  # of the models' code, part of a model's id: raised whenever one of them fits another table
