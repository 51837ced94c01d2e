"""A training of a moment, also for a process of its own, which is to begin at once: pytest and Prefect are left out."""

from __future__ import annotations

from namegen.corpus.corpus import Corpus, split
from namegen.corpus.ngrams import count_ngrams
from namegen.models.mlp import Settings
from namegen.training.checkpoint import Checkpoint
from namegen.training.fit import Fitted, fit_models
from namegen.training.recipe import Recipe

NETWORK = Settings(window=4, embedding=8, hidden=32, passes=6, batch=256)
SMALL = Recipe("blend", 4, 30_000, 300_000, (NETWORK,), 0.2)


def fit(names: Corpus, checkpoint: Checkpoint | None, device: str = "cpu") -> Fitted:
    parts = split(names)
    train = parts.train[:3000]
    counts = count_ngrams(train, names.vocabulary, SMALL.order)
    return fit_models(train, counts, parts.dev[:300], SMALL, device, checkpoint=checkpoint)
