"""A pool of models: the product of their distributions, each to the power of a weight (a logarithmic pool).

It beats its members if they make different mistakes. The weights are those that predict dev best. They depend on the
kind of the counting model's context: where it has seen much of the history, it is right more often than a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.pairs import Allowed
from namegen.models.kneser_ney import KneserNey
from namegen.models.predictor import Predictor, State, take
from namegen.training.exact import steps
from namegen.vocabulary import Vocabulary

USUAL = 0.55  # the weight of Kneser-Ney, and of all other models together, before any name is asked
FIRM, FIRM_ENDS = 100.0, 1.5  # how firmly a weight is held where it would be without dev, in nats a square of 1
CELLS = 2**23  # of dev's distributions, which are in memory while the weights are fitted
ROUNDS, ENOUGH = 20, 1e-9  # of Newton's method: at most so many, and until no weight changes by more
TURNS = 4  # between weights and ends
POSITIONS = 32  # at which the end has a weight
LEAST = 1e-30  # a probability of 0 would have no logarithm


@dataclass(frozen=True, eq=False)
class Blend:
    """The pool as a model. It remembers the last symbol, the position, and what each member remembers.

    Args:
        members: one or more models. If the first one is Kneser-Ney, the weights depend on its contexts.
        weights: float64[K, M]: of each member, by the kind of the first one's context; float64[1, M] if they do not
            depend on that.
        ends: float64[P]: how much likelier the end is, by position, as a logarithm. The last one is for all positions
            after it. A product of models alone would make names of other lengths than the list's.
        allowed: how far which symbol may follow which; see `corpus.pairs`. No name is empty.
    """

    members: Sequence[Predictor]
    weights: NDArray[np.float64]
    ends: NDArray[np.float64]
    allowed: Allowed | None = None

    @classmethod
    def alone(cls, member: Predictor, allowed: Allowed | None = None) -> Blend:
        """A model by itself, but for what is not allowed."""
        return cls([member], np.ones((1, 1)), np.zeros(1), allowed)

    def start(self) -> State:
        """The state of the empty history."""
        nothing = np.zeros(1, np.uint8)
        return (nothing, nothing, *(member.start() for member in self.members))

    def after(self, state: State, symbols: NDArray[np.integer]) -> State:
        """The states after one more symbol."""
        moved = (member.after(part, symbols) for member, part in zip(self.members, state[2:], strict=True))
        return (symbols.astype(np.uint8), state[1] + np.uint8(1), *moved)

    def predict(self, state: State) -> NDArray[np.float64]:
        """float64[N, V]: the distributions after some histories."""
        last, position, *parts = state
        weights = self.weights[np.minimum(self.kind(parts[0]), len(self.weights) - 1)]  # a single row is for all
        rows: NDArray[np.float64] = np.zeros((len(last), 1))
        for member, part, weight in zip(self.members, parts, weights.T, strict=True):
            rows = rows + weight[:, None] * _log(member.predict(part))
        rows[:, 0] += self.ends[np.minimum(position, len(self.ends) - 1)]
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows[last == 0, 0] = 0  # no name is empty
        if self.allowed is not None:
            rows *= self.allowed[last]
        rows /= rows.sum(axis=1, keepdims=True)
        return rows

    def kind(self, state: State) -> NDArray[np.int64]:
        """int64[N]: the kind of each history, from what the first member remembers of it."""
        counting = self.members[0]
        return counting.kind(state) if isinstance(counting, KneserNey) else np.zeros(len(state), np.int64)


def pool(
    counting: KneserNey,
    others: Sequence[Predictor],
    vocabulary: Vocabulary,
    dev: Sequence[str],
    allowed: Allowed | None = None,
) -> Blend:
    """The pool of Kneser-Ney and other models, with the weights that predict `dev` best; without, usual ones.

    Args:
        counting, others: none was trained on `dev`.
        dev: only as many of them are used as fit in some memory.
    """
    members = [counting, *others]
    asked = ask(members, vocabulary, as_many(members, vocabulary, dev, CELLS))
    return Blend(members, *weigh(asked, counting.kinds), allowed)


@dataclass(frozen=True, eq=False)
class Asked:
    """What the members of a pool say before each of the E symbols of some names, of which they know nothing.

    Args:
        logs: float64[M, E, V]: the logarithms of their distributions.
        symbol, position, kind: int64[E]: what follows, how many symbols come before it, and the kind of Kneser-Ney's
            context.
    """

    logs: NDArray[np.float64]
    symbol: NDArray[np.int64]
    position: NDArray[np.int64]
    kind: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Asked]) -> Asked:
        """What was asked in parts."""
        columns = ([getattr(part, name) for part in parts] for name in ("symbol", "position", "kind"))
        return cls(np.concatenate([part.logs for part in parts], axis=1), *map(np.concatenate, columns))


def as_many(members: Sequence[Predictor], vocabulary: Vocabulary, names: Sequence[str], cells: int) -> Sequence[str]:
    """As many of some names as can be asked of within so many cells of distributions."""
    per_name = len(members) * len(vocabulary) * (sum(map(len, names)) / max(len(names), 1) + 1)
    return names[: int(cells / per_name)]


def ask(members: Sequence[Predictor], vocabulary: Vocabulary, names: Sequence[str]) -> Asked:
    """Asks them. The first is Kneser-Ney; the names have no symbol outside the vocabulary."""
    logs, columns = [np.zeros((len(members), 0, len(vocabulary)))], [np.zeros((3, 0), np.int64)]
    together = Blend(members, np.ones((1, len(members))), np.zeros(1))
    for step, (_, symbol, state) in enumerate(steps(together, vocabulary, names)):
        known = np.flatnonzero(symbol >= 0)
        parts = take(state, known)[2:]
        logs.append(np.stack([_log(member.predict(part)) for member, part in zip(members, parts, strict=True)]))
        position = np.full(len(known), min(step, POSITIONS - 1))
        columns.append(np.stack([symbol[known].astype(np.int64), position, together.kind(parts[0])]))
    return Asked(np.concatenate(logs, axis=1), *np.concatenate(columns, axis=1))


def weigh(
    asked: Asked, kinds: int, usual_ends: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The weights and ends of a `Blend` that predict best what was asked; the usual ones if nothing was.

    The negative log-likelihood is convex in the weights, as the pool is an exponential family in them, and is
    minimised by Newton's method: the weights for all of it at once, and then in turns those for each kind of context
    and how likely the end is at each position. All are drawn towards what is known without: the usual weights, those
    for all, and ends as likely as they are.

    Args:
        kinds: of Kneser-Ney's contexts.
        usual_ends: float64[POSITIONS]: what the ends are held to; None for 0.
    """
    others = len(asked.logs) - 1
    usual = np.array([USUAL, *[USUAL / others] * others] if others else [1.0])
    is_end = np.zeros((1, len(asked.symbol), asked.logs.shape[2]))
    is_end[:, :, 0] = 1
    common = _fitted(asked.logs, asked.symbol, usual, 0 * is_end[0], FIRM)
    held_to = np.zeros(POSITIONS) if usual_ends is None else usual_ends
    weights, ends = np.tile(common, (kinds, 1)), held_to.copy()
    for _ in range(TURNS):
        for p in range(1, POSITIONS):
            here = asked.position == p
            blended = np.einsum("em,mev->ev", weights[asked.kind[here]], asked.logs[:, here])
            (ends[p],) = _fitted(is_end[:, here], asked.symbol[here], held_to[p : p + 1], blended, FIRM_ENDS)
        for k in range(kinds):
            here = asked.kind == k
            fixed = ends[asked.position[here], None] * is_end[0, here]
            weights[k] = _fitted(asked.logs[:, here], asked.symbol[here], common, fixed, FIRM)
    return weights, ends


def _fitted(
    logs: NDArray[np.float64],
    symbol: NDArray[np.int64],
    prior: NDArray[np.float64],
    fixed: NDArray[np.float64],
    firm: float,
) -> NDArray[np.float64]:
    """float64[M]: the weights of M features with the lowest NLL, held to the prior.

    Args:
        logs: float64[M, E, V]: the features of each symbol.
        fixed: float64[E, V]: what is added to their weighted sum.
        firm: how firmly the weights are held to the prior.
    """
    weights, events = prior.copy(), np.arange(len(symbol))
    for _ in range(ROUNDS):
        rows = np.tensordot(weights, logs, 1) + fixed
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        mean = (logs * rows).sum(axis=2)
        gradient = (mean - logs[:, events, symbol]).sum(axis=1) + firm * (weights - prior)
        curvature = np.einsum("iev,jev,ev->ij", logs, logs, rows, optimize=True) - mean @ mean.T
        step = np.linalg.solve(curvature + firm * np.eye(len(weights)), gradient)
        weights = weights - step
        if np.abs(step).max() < ENOUGH:
            break
    return weights


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, LEAST))
