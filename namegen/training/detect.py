"""How well drawn names can be told from real ones, and listed ones from those that were held out.

Unlike the distances of `likeness`, which look at one figure of a name, a classifier looks at all its parts at once. An
area under the ROC curve (AUC) is how often a name of one kind gets the higher score, of a random pair of both kinds:
0.5 is chance, and 1 is certainty.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from namegen.characters import all_characters

LONGEST = 4  # characters of a part of a name
FOLDS = 5
RIDGE = 1.0  # half of it times the square of each weight is added to the loss, as it is usual
STEPS = 60  # of the descent; with more, the AUC changes by less than its error


def detectability(drawn: Sequence[str], real: Sequence[str]) -> float:
    """The AUC at which a logistic regression tells drawn names from real ones that it has not seen.

    It counts the n-grams of one to four characters, with the boundaries of the name, and knows the length. Both kinds
    are shuffled into five parts; each part is scored by what was fitted to the others.

    Args:
        drawn, real: as many of both, and at least five; neither are among the names that the model was fitted to.
    """
    row, column, shape = _parts([*drawn, *real])
    is_real = np.repeat([False, True], [len(drawn), len(real)])
    fold = np.random.default_rng(0).permutation(shape[0]) % FOLDS
    found = []
    for k in range(FOLDS):
        inside = fold[row] != k
        weights = _fitted(row[inside], column[inside], shape, is_real, fold != k)
        score = np.bincount(row, weights[column], shape[0])
        found.append(auc(score[(fold == k) & is_real], score[(fold == k) & ~is_real]))
    return float(np.mean(found))


def auc(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """How often one of `higher` is above one of `lower`; as often as not where they are equal.

    >>> auc(np.array([3.0, 1.0]), np.array([1.0, 0.0]))
    0.875
    """
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.sum() / (2 * len(higher) * len(lower)))


def _parts(names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[int, int]]:
    """Which part (column) each name (row) has, as often as it has it; and how many rows and columns there are."""
    numbers: dict[Hashable, int] = {}
    rows, columns = [], []
    for row, (name, characters) in enumerate(zip(names, all_characters(names), strict=True)):
        text = f"\n{name}\n" if characters is name else ("\n", *characters, "\n")
        parts: list[Hashable] = [
            len(characters),
            *(text[i : i + n] for n in range(1, LONGEST + 1) for i in range(len(text) - n + 1)),
        ]
        columns += [numbers.setdefault(part, len(numbers)) for part in parts]
        rows += [row] * len(parts)
    return np.array(rows), np.array(columns), (len(names), len(numbers))


def _fitted(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    shape: tuple[int, int],
    is_real: NDArray[np.bool_],
    used: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """float64[columns]: the weights of the regression, by Nesterov's accelerated descent.

    Each weight has a step of its own, from a diagonal that is above the Hessian everywhere: a name with many parts
    moves by that many.
    """
    parts = np.bincount(row, minlength=shape[0]).astype(np.float64)
    above = np.bincount(column, parts[row], shape[1]) / 4 + RIDGE
    weights, ahead, momentum = np.zeros(shape[1]), np.zeros(shape[1]), 1.0
    for _ in range(STEPS):
        score = np.bincount(row, ahead[column], shape[0])
        error = np.where(used, 1 / (1 + np.exp(-score)) - is_real, 0.0)
        moved = ahead - (np.bincount(column, error[row], shape[1]) + RIDGE * ahead) / above
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
    return weights
