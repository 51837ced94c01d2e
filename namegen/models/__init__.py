"""One family of models per file. No model knows about sampling or files, or about another model.

A model of the last symbol alone has `fit(counts, ...) -> probabilities`, float64[V, V]. The others are a `Predictor`:
from what they remember of some histories to the distributions of what comes next. The networks among them are trained
by `network`.
"""

NETWORKS = ("mlp", "gru", "transformer", "blend")  # slower to fit, so they are fitted only if one of them is asked for
VERSION = 2  # of the models' code, part of a model's id: raised whenever a model fits a different table
