"""The pool for a short list, with its settings chosen by cross-validation.

A list of fifty names has none to spare for dev and test. So its names are cut into five parts; each is predicted by
what was fitted to the four others. The settings that predict all of them best are used, and everything is fitted to all
names. The NLL of each part, with weights from the other parts alone, says how well the pool predicts new names.

Networks are left out: so few names teach them nothing that counts do not know.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.ngrams import NgramCounts, count_ngrams
from namegen.corpus.pairs import Allowed
from namegen.models import caseless, kneser_ney
from namegen.models.kneser_ney import KneserNey
from namegen.models.predictor import Predictor
from namegen.training.compile import CAP
from namegen.training.exact import log_prob
from namegen.training.pool import CELLS, POSITIONS, Asked, Blend, as_many, ask, pool, weigh
from namegen.vocabulary import Vocabulary

FOLDS, SEED = 5, 1
ORDERS = (2, 3, 4)  # of the listed names' counts, beside the highest
LETTERS = 5  # order of the counts without case
REMEMBERED = 5  # symbols, for compiling: no count of the pool knows more of a name, but for the position
STANDS_OUT = 2.15  # a longest name is so many times as long as the mean one
SURE = 4.0  # nats: of an end that is early; half more for each symbol that it is late
BACKGROUND = 6  # order of the background's


@dataclass(frozen=True)
class Few:
    """A pool fitted to few names.

    Args:
        blend: fitted to all of them.
        order: that of its Kneser-Ney.
        names: each different name once.
        log_prob: float64[len(names)]: of each name, by what was fitted to others. Both are empty for a single name.
    """

    blend: Blend
    order: int
    names: Sequence[str]
    log_prob: NDArray[np.float64]


def letters_of(background: Sequence[str], vocabulary: Vocabulary) -> KneserNey | None:
    """The counts of a background without case; None if the symbols of both are too many for a model."""
    return caseless.count_letters(background, vocabulary, BACKGROUND) if background else None


def members_without_case(
    names: Sequence[str], vocabulary: Vocabulary, background: KneserNey | None
) -> dict[str, Predictor]:
    """The members of a pool that know no case, by what they are called.

    Args:
        background: as from `letters_of`.
    """
    found: dict[str, Predictor] = {}
    if caseless.has_both_cases(vocabulary) and (own := caseless.count_letters(names, vocabulary, LETTERS)):
        found["without case"] = caseless.fit(own, names, vocabulary)
    if background:
        found["background"] = caseless.fit(background, names, vocabulary, restarts=True)
    return found


def fit(
    names: Sequence[str],
    counts: NgramCounts,
    others: Sequence[Predictor],
    background: KneserNey | None,
    allowed: Allowed | None,
) -> Few:
    """Chooses the settings, and fits the pool.

    Args:
        names: the training names.
        counts: of these, of the highest order that is tried.
        others: the other members, fitted to all names; see `members_without_case`.
        background: as from `letters_of`.
        allowed: which symbol may follow which; see `corpus.pairs`.
    """
    vocabulary = counts.vocabulary
    different = list(dict.fromkeys(names))
    random.Random(SEED).shuffle(different)  # noqa: S311 - reproducible is the point
    parts = [different[k::FOLDS] for k in range(min(FOLDS, len(different)))] if len(different) > 1 else []
    if not parts:  # a single name: the usual weights
        return Few(pool(kneser_ney.fit(counts), others, vocabulary, (), allowed), counts.order, (), np.zeros(0))
    folds = [_Fold.of(part, names, counts, background) for part in parts]
    held_to = usual_ends(vocabulary.encode(names)[1])
    order, best = counts.order, _try(counts.order, folds, allowed, held_to)
    for lower in (order for order in reversed(ORDERS) if order < counts.order):
        tried = _try(lower, folds, allowed, held_to)
        if tried.nats < best.nats:
            order, best = lower, tried
    blend = Blend([kneser_ney.fit(counts.lower(order)), *others], best.weights, best.ends, allowed)
    each = []
    for k, (fold, members) in enumerate(zip(folds, best.pools, strict=True)):
        rest = [asked for other, asked in enumerate(best.asked) if other != k]
        weights, ends = weigh(Asked.joined(rest), len(best.weights), held_to)
        each.append(log_prob(Blend(members, weights, ends, allowed), vocabulary, fold.held))
    return Few(blend, order, [name for part in parts for name in part], np.concatenate(each))


def usual_ends(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[POSITIONS]: how likely the end is before the shortest name ends and beyond the longest; see `Blend`.

    Where no name ends, the models cannot learn how seldom one does.

    Args:
        sizes: int64[names]: how many symbols each has.
    """
    position = np.arange(POSITIONS)
    ends: NDArray[np.float64] = 1.5 * SURE * np.maximum(position - sizes.max(), 0)
    ends[position < sizes.min()] = -SURE
    return ends


def cap(sizes: NDArray[np.int64]) -> int:
    """The position from which on all are one in the compiled pool: beyond the longest name, unless that stands out.

    More positions need more states, of which there are too few where one name is as long as two or three.

    Args:
        sizes: int64[names]: how many symbols each has.
    """
    longest = int(sizes.max())
    return CAP if longest > STANDS_OUT * sizes.mean() else min(max(CAP, longest + 1), POSITIONS)


@dataclass(frozen=True)
class _Fold:
    """A part of the names, and what the others say.

    Args:
        held: the part.
        counts, others: of the other parts; `others` are the members of the pool beside Kneser-Ney.
    """

    held: Sequence[str]
    counts: NgramCounts
    others: Sequence[Predictor]

    @classmethod
    def of(cls, held: Sequence[str], names: Sequence[str], counts: NgramCounts, background: KneserNey | None) -> _Fold:
        out = set(held)
        rest = [name for name in names if name not in out]
        others = members_without_case(rest, counts.vocabulary, background)
        return cls(held, count_ngrams(rest, counts.vocabulary, counts.order), [*others.values()])


@dataclass(frozen=True)
class _Tried:
    """An order, with the weights that suit it best.

    Args:
        pools: the members of each fold's pool.
        asked: what they say of its part.
        nats: of all parts, with these weights.
    """

    pools: Sequence[Sequence[Predictor]]
    asked: Sequence[Asked]
    weights: NDArray[np.float64]
    ends: NDArray[np.float64]
    nats: float


def _try(order: int, folds: Sequence[_Fold], allowed: Allowed | None, ends: NDArray[np.float64]) -> _Tried:
    counting = [kneser_ney.fit(fold.counts.lower(order)) for fold in folds]
    pools: list[list[Predictor]] = [[own, *fold.others] for own, fold in zip(counting, folds, strict=True)]
    asked = [
        ask(pool, fold.counts.vocabulary, as_many(pool, fold.counts.vocabulary, fold.held, CELLS // len(folds)))
        for pool, fold in zip(pools, folds, strict=True)
    ]
    weights, ends = weigh(Asked.joined(asked), counting[0].kinds, ends)
    held = [
        log_prob(Blend(pool, weights, ends, allowed), fold.counts.vocabulary, fold.held)
        for pool, fold in zip(pools, folds, strict=True)
    ]
    return _Tried(pools, asked, weights, ends, -float(np.concatenate(held).sum()))
