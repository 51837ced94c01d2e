"""The most probable names, exactly and in order.

A search down the tree of prefixes finds all names that are at least as probable as a threshold: it leaves out a branch
when even its best name is below. The threshold is estimated from drawn names, and lowered if it leaves too few.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import boolean, compiled, f64, i32, i64, read_only, u8
from namegen.errors import SettingError
from namegen.questions.count import names_up_to, too_many
from namegen.sampling.spelling import spelt
from namegen.sampling.stream import sample

DRAWN = 2**16  # names for the estimate
MOST = 10**7  # names: with their probabilities they take a gigabyte
_logs, _table = read_only(f64, 2), read_only(i32, 2)


def top(automaton: Automaton, count: int) -> pa.Table:
    """The `count` most probable names, in order; ties by the bytes of their UTF-8.

    Returns:
        `name` (string) and `log_prob` (float64, nats).

    Raises:
        SettingError: for a negative count, more than 10^7, or more names than there are.
    """
    if not 0 <= count <= MOST:
        raise SettingError(f"{count:,} is no number of names for top", remedy=f"Choose 0 to {MOST:,}")
    there = names_up_to(automaton, 2 * count)
    if there < count:
        raise too_many(there, count)
    best = best_after(automaton.log_probabilities, automaton.successor)
    threshold, lower = _threshold(automaton, count) if there >= 2 * count else -np.inf, 0.25
    while True:
        found = _found(automaton, best, threshold)
        if len(found) >= count:
            order = [("log_prob", "descending"), ("name", "ascending")]
            return found.sort_by(order).slice(0, count).combine_chunks()
        threshold, lower = threshold - lower, 2 * lower


def _threshold(automaton: Automaton, count: int) -> float:
    """About the log-probability of the last of the names: of drawn ones, each stands for 1 / (probability * drawn)."""
    drawn = np.sort(np.array(sample(automaton, 0, 0, DRAWN)["log_prob"].to_pylist()))[::-1]
    names = np.cumsum(np.exp(np.minimum(-drawn, 700.0))) / DRAWN
    place = int(np.searchsorted(names, 1.05 * count + 10))
    return float(drawn[min(place, DRAWN - 1)]) - 0.05


def _found(automaton: Automaton, best: np.ndarray, threshold: float) -> pa.Table:
    """All names of at least this log-probability."""
    vocabulary, cap = automaton.vocabulary, automaton.cap
    logs, successor = automaton.log_probabilities, np.ascontiguousarray(automaton.successor)
    if longest_prefix(logs, successor, threshold, cap) >= cap:
        best = np.zeros(len(best))  # a name that the cap ends may be likelier than those that end by themselves
    leads = vocabulary.first_lead, vocabulary.first_tail
    deepest = automaton.longest + 2
    size = names = 0
    for writes in (False, True):
        symbols, lengths, log_prob = np.empty(size, np.uint8), np.empty(names, np.int64), np.empty(names)
        names, size = search(logs, successor, best, threshold, cap, *leads, deepest, writes, symbols, lengths, log_prob)
    values = pa.DoubleArray.from_buffers(pa.float64(), names, [None, pa.py_buffer(log_prob)])  # pa.array imports pandas
    return pa.Table.from_arrays([spelt(symbols, lengths, vocabulary), values], ["name", "log_prob"])


@compiled(_logs, _table)
def best_after(logs, successor):
    """float64[S]: the log-probability of the best way from each state to the end, without a cap."""
    states, symbols = logs.shape
    best = logs[:, 0].copy()
    changed = True
    while changed:
        changed = False
        for s in range(states - 1, -1, -1):
            value = best[s]
            for v in range(1, symbols):
                value = max(value, logs[s, v] + best[successor[s, v]])
            if value > best[s]:
                best[s] = value
                changed = True
    return best


@compiled(_logs, _table, f64, i64)
def longest_prefix(logs, successor, threshold, most):
    """How many symbols the longest prefix of at least this log-probability has, if fewer than `most`."""
    states, symbols = logs.shape
    now, after = np.full(states, -np.inf), np.full(states, -np.inf)
    now[0] = 0.0
    for step in range(most):
        largest = -np.inf
        after[:] = -np.inf
        for s in range(states):
            if now[s] >= threshold and now[s] > -np.inf:
                for v in range(1, symbols):
                    value = now[s] + logs[s, v]
                    to = successor[s, v]
                    after[to] = max(after[to], value)
                    largest = max(largest, value)
        if largest < threshold or largest == -np.inf:
            return step
        now, after = after, now
    return most


@compiled(_logs, _table, f64[::1], f64, i64, i64, i64, i64, boolean, u8[::1], i64[::1], f64[::1])
def search(logs, successor, best, threshold, cap, first_lead, first_tail, deepest, writes, symbols, lengths, log_prob):
    """Finds all names of at least this log-probability. Returns how many there are, and how many symbols they have.

    Args:
        logs, successor: float64[S, V] and int32[S, V], of an automaton.
        best: float64[S]: at most this is added to the log-probability from each state on.
        cap, first_lead, first_tail: the most characters; leads are no characters.
        deepest: two more symbols than any name has.
        writes: whether to write the names' symbols, end to end, their lengths and their log-probabilities.
    """
    state, symbol, characters = np.zeros(deepest, np.int64), np.zeros(deepest, np.int64), np.zeros(deepest, np.int64)
    so_far = np.zeros(deepest)
    names, size, depth = i64(0), i64(0), i64(0)
    symbol[0] = 0  # the next one to try
    while depth >= 0:
        v = symbol[depth]
        if v == logs.shape[1]:
            depth -= 1
            continue
        symbol[depth] = v + 1
        s = state[depth]
        value = so_far[depth] + logs[s, v]
        if value == -np.inf:
            continue
        is_end = v == 0
        if not is_end:
            to = i64(successor[s, v])
            count = characters[depth] + (0 if first_lead <= v < first_tail else 1)
            if count < cap:
                if value + best[to] >= threshold:
                    depth += 1
                    state[depth], symbol[depth], so_far[depth], characters[depth] = to, 0, value, count
                continue
        if value >= threshold:  # a name: it ends here, or it is as long as the cap
            length = depth if is_end else depth + 1
            if writes:
                for i in range(length):
                    symbols[size + i] = symbol[i] - 1
                lengths[names], log_prob[names] = length, value
            names += 1
            size += length
    return names, size
