"""Any model becomes a table with finitely many states: the contexts of histories that matter most, up to a budget.

A *history* is all symbols of a name so far. Those that a name begins with often enough are walked through from the
start, and the model is asked for its distribution after each. A *context* is what a state stands for: the position, up
to a cap, and the last k symbols. The context with one symbol less, at the same position, is its *backoff*. A context is
worth a state if names come by it often and the model says something else there than at its backoff: if mass times
Kullback-Leibler divergence is large (Stolcke 1998; Suresh et al. 2021). The best contexts are kept, with all that they
need: the backoff of a kept context is kept, and so is the context one symbol earlier. A row is the mean of what the
model says after the histories whose longest kept context it is.

The histories are limited in number, and are walked through in blocks, so the memory is known before it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from namegen.corpus.pairs import Allowed
from namegen.models.predictor import Predictor, State, take
from namegen.vocabulary import MAX_LENGTH, Vocabulary

if TYPE_CHECKING:
    from namegen.corpus.ngrams import NgramCounts

CAP = 8  # positions from this one on are one
WINDOW = 8  # symbols of the longest context
BLOCK = 2**13  # histories that the model is asked for at once
DRAWN = 2**12  # names that estimate how many histories there are
LENGTHS, SPREAD = 20, 8  # of merged histories: a length has a 20th of all, and eight times as many candidates
LEAST = 1e-9  # the probability of a history that is not worth a look
SLACK = 1.25  # that estimate may be too low by so much
NOISE = 1e-14  # nats: of a divergence, what may be rounding
LITTLE = 1e-6  # share of a context's mass that is too little for a mean of its own


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """S states over V symbols, before they are rounded to integers. State 0 is the start.

    Args:
        probabilities: float64[S, V]; rows sum to 1 within 1e-12.
        successor: int32[S, V]: the state after each symbol; 0 for the boundary.
        lengths: uint8[S]: how many symbols the context of each state has. The boundary, which is the start, is one.
    """

    vocabulary: Vocabulary
    probabilities: NDArray[np.float64]
    successor: NDArray[np.int32]
    lengths: NDArray[np.uint8]

    @classmethod
    def of(cls, counts: NgramCounts, probabilities: NDArray[np.float64]) -> Table:
        """The table of a model whose states are the contexts of some counts."""
        return cls(counts.vocabulary, probabilities, counts.successor, counts.lengths)


@dataclass(frozen=True, eq=False, repr=False)
class Histories:
    """N histories, each behind the one that is a symbol shorter. The first is the empty one.

    Args:
        parent: int32[N]: the history without its last symbol; 0 for the first.
        symbol: uint8[N]: the last symbol; 0 for the first.
        level: uint8[N]: how many symbols each has.
        mass: float64[N]: the probability that a name begins so.
        distribution: float64[N, V]: what the model says comes next.
    """

    parent: NDArray[np.int32]
    symbol: NDArray[np.uint8]
    level: NDArray[np.uint8]
    mass: NDArray[np.float64]
    distribution: NDArray[np.float64]


def compile_model(
    model: Predictor,
    vocabulary: Vocabulary,
    budget: int,
    histories: int,
    *,
    cap: int = CAP,
    window: int = WINDOW,
    merging: bool = False,
    allowed: Allowed | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Table:
    """The table of a model.

    Args:
        budget: how many states at most. Each position's shortest context is always one, and where some symbols may not
            follow others, so are the contexts of one symbol.
        histories: about how many to walk through.
        cap: positions from this one on are one; at least `window`.
        window: how many symbols a context has at most.
        merging: whether to put histories together: only for a model that remembers whole numbers, and of a name no
            more than the position and the last `window` symbols; see `walk_merging`.
        allowed: how far which symbol may follow which, as the model has it; None if every one may follow every other.
        advance: called with the number of histories done, as they are.
    """
    symbols, longest = len(vocabulary), vocabulary.longest(MAX_LENGTH)
    if merging:
        found = walk_merging(model, histories, longest, advance, max(LENGTHS, cap + 4))
        return fold(found, vocabulary, budget, cap, window, allowed)
    threshold = threshold_for(model, symbols, histories, longest)
    walked = None
    while walked is None:
        walked = walk_through(model, symbols, threshold, int(SLACK * histories) + 1, longest, advance)
        threshold *= 2
    return fold(walked, vocabulary, budget, cap, window, allowed)


def threshold_for(model: Predictor, symbols: int, histories: int, longest: int) -> float:
    """The probability that about so many histories reach.

    Names are drawn. A history h is the beginning of a name with probability p(h), so the sum of 1 / p(h) over the
    beginnings of a drawn name, of those with p(h) above the threshold, is the number of such histories on average.
    """
    generator = np.random.default_rng(0)
    state = take(model.start(), np.zeros(DRAWN, np.intp))
    mass, masses = np.ones(DRAWN), [np.ones(DRAWN)]
    for _ in range(longest):
        rows = model.predict(state)
        cut = generator.random((len(rows), 1)) * rows.sum(axis=1, keepdims=True)
        drawn = np.minimum((np.cumsum(rows, axis=1) < cut).sum(axis=1), symbols - 1)
        mass = mass * rows[np.arange(len(rows)), drawn]
        goes_on = np.flatnonzero((drawn > 0) & (mass > 0))
        if not goes_on.size:
            break
        mass = mass[goes_on]
        masses.append(mass)
        state = model.after(take(state, goes_on), drawn[goes_on])
    sorted_masses = -np.sort(-np.concatenate(masses))
    reached = np.cumsum(1 / sorted_masses) / DRAWN
    place = int(np.searchsorted(reached, histories))
    return float(sorted_masses[place]) if place < len(reached) else 0.0


def walk_through(
    model: Predictor,
    symbols: int,
    threshold: float,
    most: int,
    longest: int,
    advance: Callable[[int], None] = lambda done: None,
) -> Histories | None:
    """The histories whose probability is at least the threshold, and above 0; None if there are more than `most`.

    A block of histories is followed by those that are one symbol longer, in blocks again, and the last block that was
    found is taken first: so few states of the model are held at a time.
    """
    parent, symbol = np.zeros(most, np.int32), np.zeros(most, np.uint8)
    level, mass = np.zeros(most, np.uint8), np.ones(most)
    distribution = np.empty((most, symbols))
    found = 1
    stack: list[tuple[int, int, State]] = [(0, 1, model.start())]
    while stack:
        first, last, state = stack.pop()
        rows = model.predict(state)
        distribution[first:last] = rows
        advance(last - first)
        if level[first] == longest:
            continue
        onward = mass[first:last, None] * rows[:, 1:]
        at, follows = np.nonzero((onward >= threshold) & (onward > 0))
        if found + len(at) > most:
            return None
        here = slice(found, found + len(at))
        parent[here], symbol[here] = first + at, follows + 1
        level[here], mass[here] = level[first] + 1, onward[at, follows]
        for begin in range(0, len(at), BLOCK):
            part = slice(begin, begin + BLOCK)
            longer = model.after(take(state, at[part]), follows[part] + 1)
            stack.append((found + begin, found + min(begin + BLOCK, len(at)), longer))
        found += len(at)
    return Histories(parent[:found], symbol[:found], level[:found], mass[:found], distribution[:found])


def walk_merging(
    model: Predictor,
    most: int,
    longest: int,
    advance: Callable[[int], None] = lambda done: None,
    lengths: int = LENGTHS,
) -> Histories:
    """The most probable histories of each length, where those that the model cannot tell apart are one.

    A model that remembers few symbols, such as counts, can be walked through much further so. Of histories that are
    one, the most probable stands for all; the mass is that of all.

    Args:
        most: how many histories at most; one of `lengths` equal shares of each length.
    """
    state, mass = model.start(), np.ones(1)
    parent, symbol, first = np.zeros(1, np.int32), np.zeros(1, np.uint8), 0
    parts: list[tuple[NDArray[Any], ...]] = []
    for length in range(longest + 1):
        size = len(mass)
        rows = np.concatenate([model.predict(take(state, block)) for block in _blocks(size)])
        parts.append((parent, symbol, np.full(size, length, np.uint8), mass, rows))
        advance(size)
        room = min(most // lengths, most - first - size)
        if room <= 0 or length == longest:
            break
        onward = mass[:, None] * rows[:, 1:]
        at, follows = np.nonzero(onward > LEAST)
        if len(at) > SPREAD * room:  # those that are dropped here are too many to be put together
            likely = np.sort(np.argpartition(-onward[at, follows], SPREAD * room)[: SPREAD * room])
            at, follows = at[likely], follows[likely]
        if not len(at):
            break
        longer = [model.after(take(state, at[block]), follows[block] + 1) for block in _blocks(len(at))]
        numbers = np.concatenate([_numbers(each) for each in longer])
        varying = [column for column in numbers.T if (column != column[0]).any()]
        order = np.lexsort((-onward[at, follows], *varying))
        begins = np.flatnonzero(np.append(True, (np.diff(numbers[order], axis=0) != 0).any(axis=1)))
        together = np.add.reduceat(onward[at, follows][order], begins)
        chosen = np.sort(np.argsort(-together, kind="stable")[:room])
        at, follows, mass = at[order[begins[chosen]]], follows[order[begins[chosen]]], together[chosen]
        state = model.after(take(state, at), follows + 1)
        parent, symbol, first = (first + at).astype(np.int32), (follows + 1).astype(np.uint8), first + size
    return Histories(*map(np.concatenate, zip(*parts, strict=True)))


def _blocks(size: int) -> Iterator[NDArray[np.intp]]:
    """0 to size - 1 in blocks."""
    return (np.arange(begin, min(begin + BLOCK, size)) for begin in range(0, size, BLOCK))


def _numbers(state: State) -> NDArray[np.int64]:
    """int64[N, M]: what a model remembers of N histories, which is whole numbers."""
    if isinstance(state, tuple):
        return np.concatenate([_numbers(part) for part in state], axis=1)
    return state.reshape(len(state), -1).astype(np.int64)  # type: ignore[no-any-return]


def fold(
    histories: Histories,
    vocabulary: Vocabulary,
    budget: int,
    cap: int,
    window: int,
    allowed: Allowed | None = None,
) -> Table:
    """Chooses the contexts to keep, and gives each its row and its successors; see `compile_model`."""
    contexts = Contexts.of(histories, cap, window)
    symbols = len(vocabulary)
    spare = 0 if allowed is None else len(contexts.roots) * (symbols - 1)
    kept = contexts.best(histories, max(budget - spare, len(contexts.roots)))
    state = np.cumsum(kept, dtype=np.int32) - 1  # of each kept context; they keep their order
    backoff, length = state[contexts.backoff[kept]], contexts.length[kept]
    position = contexts.position[kept]
    is_kept = kept[contexts.at] & (contexts.at >= 0)
    column = is_kept.shape[1] - 1 - np.argmax(is_kept[:, ::-1], axis=1)  # of the longest one
    rows = _means(histories, state[contexts.at[np.arange(len(column)), column]], backoff, length)
    roots = state[contexts.roots]
    successor = _successors(length, backoff, contexts.oldest[kept], roots, symbols)
    is_whole = (length == position) & (position < cap)
    return _spelt(Table(vocabulary, rows, successor, (length + is_whole).astype(np.uint8)), roots, allowed)


@dataclass(frozen=True, eq=False, repr=False)
class Contexts:
    """C contexts, sorted by position, then length, then their symbols from the last one backwards.

    Args:
        position, length: uint8[C].
        backoff: int32[C]; itself for a context of no symbols.
        oldest: uint8[C]: the first of its symbols; 0 for a context of no symbols.
        worth: float64[C]: mass times divergence from the backoff.
        roots: int64[P]: the context of no symbols at each position.
        at: int32[N, window + 1]: in column k the context of k symbols in which each history ends; -1 if it is shorter.
    """

    position: NDArray[np.uint8]
    length: NDArray[np.uint8]
    backoff: NDArray[np.int32]
    oldest: NDArray[np.uint8]
    worth: NDArray[np.float64]
    roots: NDArray[np.int64]
    at: NDArray[np.int32]

    @classmethod
    def of(cls, histories: Histories, cap: int, window: int) -> Contexts:
        """All contexts in which some histories end."""
        position = np.minimum(histories.level, cap)
        at = np.full((len(position), window + 1), -1, np.int32)
        parts: dict[str, list[NDArray[np.generic]]] = {"position": [], "length": [], "backoff": [], "oldest": []}
        worths: list[NDArray[np.float64]] = []
        roots, total = [], 0
        for p in range(int(position.max()) + 1):
            here = np.flatnonzero(position == p)
            width = min(window, p)
            suffix = np.empty((width, len(here)), np.uint8)  # the last symbol first
            ancestor: NDArray[np.signedinteger] = here
            for back in range(width):
                suffix[back] = histories.symbol[ancestor]
                ancestor = histories.parent[ancestor]
            order = np.lexsort(suffix[::-1]) if width else np.arange(len(here))
            here, suffix = here[order], suffix[:, order]
            begins = np.zeros(len(here), bool)
            begins[0] = True
            firsts = []  # where the contexts of each length begin
            roots.append(total)
            for k in range(width + 1):
                if k:
                    begins[1:] |= suffix[k - 1, 1:] != suffix[k - 1, :-1]
                first = np.flatnonzero(begins)
                at[here, k] = total + np.cumsum(begins) - 1
                count = len(first)
                parts["position"].append(np.full(count, p, np.uint8))
                parts["length"].append(np.full(count, k, np.uint8))
                parts["backoff"].append(at[here[first], max(k - 1, 0)])
                parts["oldest"].append(suffix[k - 1, first] if k else np.zeros(count, np.uint8))
                firsts.append(first)
                total += count
            worths += _worths(histories, here, firsts)
        joined = {name: np.concatenate(each) for name, each in parts.items()}
        return cls(**joined, worth=np.concatenate(worths), roots=np.array(roots), at=at)

    def best(self, histories: Histories, budget: int) -> NDArray[np.bool_]:
        """bool[C]: the contexts to keep, with all that they need; each position's shortest one is always among them."""
        best = self.worth.copy()
        best[self.roots] = np.inf
        begins = np.flatnonzero(np.diff(self.position * np.int64(256) + self.length, prepend=-1))
        level = np.argsort(self.position[self.at[:, 0]], kind="stable")
        ends = np.searchsorted(self.position[self.at[level, 0]], np.arange(len(self.roots) + 1))
        for first, last in reversed([*zip(begins, [*begins[1:], len(best)], strict=True)]):
            k, p = int(self.length[first]), int(self.position[first])
            if k:
                np.maximum.at(best, self.backoff[first:last], best[first:last])
                here = level[ends[p] : ends[p + 1]]
                np.maximum.at(best, self.at[histories.parent[here], k - 1], best[self.at[here, k]])
        kept: NDArray[np.bool_] = best > 0
        if kept.sum() > budget:
            least = np.partition(best, -budget)[-budget]
            kept = best > least
            # of equals the first: what a context needs stands before it
            equal = np.flatnonzero(best == least)[: budget - int(kept.sum())]
            kept[equal] = True
        return kept


def _worths(histories: Histories, here: NDArray[np.intp], firsts: list[NDArray[np.intp]]) -> list[NDArray[np.float64]]:
    """The worth of the contexts at one position, for each length; `here` are its histories, in the contexts' order."""
    sums = histories.distribution[here] * histories.mass[here, None]
    worths: list[NDArray[np.float64]] = []
    begins = np.arange(len(here))  # of the rows of `sums`
    for k in range(len(firsts) - 1, -1, -1):
        groups = np.searchsorted(begins, firsts[k])
        shorter = np.add.reduceat(sums, groups, axis=0)
        if k < len(firsts) - 1:
            which = np.repeat(np.arange(len(groups)), np.diff(np.append(groups, len(sums))))
            worths.append(_divergences(sums, shorter, which))
        sums, begins = shorter, firsts[k]
    worths.append(np.zeros(1))
    return worths[::-1]


def _divergences(
    sums: NDArray[np.float64], shorter: NDArray[np.float64], which: NDArray[np.intp]
) -> NDArray[np.float64]:
    """float64[G]: mass times Kullback-Leibler divergence of each row from its backoff, both not normalised."""
    found = np.empty(len(sums))
    base = np.log(np.maximum(shorter, 1e-300)) - np.log(shorter.sum(axis=1, keepdims=True))
    for first in range(0, len(sums), 2**15):
        part = sums[first : first + 2**15]
        relative = np.log(np.maximum(part, 1e-300)) - np.log(part.sum(axis=1, keepdims=True))
        relative -= base[which[first : first + 2**15]]
        worth = (part * relative).sum(axis=1)
        found[first : first + 2**15] = np.where(worth > NOISE * part.sum(axis=1), worth, 0)
    return found


def _means(
    histories: Histories, assigned: NDArray[np.int32], backoff: NDArray[np.int32], length: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """float64[S, V]: the mean distribution over the histories of each state; of one with hardly any, over all."""
    states, mass = len(backoff), histories.mass
    columns = [np.bincount(assigned, mass * column, states) for column in histories.distribution.T]
    own = np.stack(columns, axis=1).astype(np.float64)
    own_mass = np.bincount(assigned, mass, states).astype(np.float64)
    rows, whole_mass = own.copy(), own_mass.copy()
    for k in range(int(length.max()), 0, -1):
        here = np.flatnonzero(length == k)
        np.add.at(rows, backoff[here], rows[here])
        np.add.at(whole_mass, backoff[here], whole_mass[here])
    enough = own_mass > LITTLE * whole_mass
    rows[enough] = own[enough]
    rows /= rows.sum(axis=1, keepdims=True)
    return rows


def _successors(
    length: NDArray[np.uint8],
    backoff: NDArray[np.int32],
    oldest: NDArray[np.uint8],
    roots: NDArray[np.int32],
    symbols: int,
) -> NDArray[np.int32]:
    """int32[S, V]: the longest kept context after each symbol, at the next position; 0 for the boundary.

    The context (s a) begins with the oldest symbol of s, and its backoff is the context after the backoff of s.
    """
    base = symbols + 1
    key = backoff.astype(np.int64) * base + oldest  # rises with the state
    key[roots] = roots * np.int64(base) - 1
    exact = np.full((len(key), symbols), -1, np.int32)  # the context with one symbol more, if it is kept
    successor = np.empty((len(key), symbols), np.int32)
    after = roots[np.minimum(np.arange(len(roots)) + 1, len(roots) - 1)]
    for k in range(int(length.max()) + 1):
        here = np.flatnonzero(length == k)
        shorter, first = exact[backoff[here]], oldest[here, None].astype(np.int64)
        if k == 0:
            shorter, first = np.repeat(after[:, None], symbols, axis=1), np.arange(symbols)[None, :]
        wanted = np.where(shorter >= 0, shorter.astype(np.int64) * base + first, -2)
        place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        exact[here] = np.where(key[place] == wanted, place, -1)
        successor[here] = np.where(exact[here] >= 0, exact[here], successor[backoff[here]] if k else shorter)
    successor[:, 0] = 0
    return successor


def _spelt(table: Table, roots: NDArray[np.int32], allowed: Allowed | None) -> Table:
    """The same, where no state forgets its last symbol: for each position and symbol without a context there is one.

    What follows there is what the position's shortest context has, as far as it is allowed.
    """
    if allowed is None:
        return table
    symbols, states = len(allowed), len(table.successor)
    is_root = np.full(states, -1)
    is_root[roots] = np.arange(len(roots))
    successor = table.successor.copy()
    place = is_root[successor]
    place[:, 0] = -1
    state, symbol = np.nonzero(place >= 0)
    needed, number = np.unique(place[state, symbol] * symbols + symbol, return_inverse=True)
    successor[state, symbol] = states + number
    root, last = roots[needed // symbols], needed % symbols
    rows = table.probabilities[root] * allowed[last]
    nothing = rows.sum(axis=1) <= 0
    rows[nothing] = allowed[last[nothing]]
    rows /= rows.sum(axis=1, keepdims=True)
    added = successor[root]
    return Table(
        table.vocabulary,
        np.concatenate([table.probabilities, rows]),
        np.concatenate([successor, added]),
        np.concatenate([table.lengths, np.ones(len(root), np.uint8)]),
    )
