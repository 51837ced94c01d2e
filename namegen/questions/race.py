"""Different names, in the order of a race: stream version 1 of its own.

Every name x that can be drawn arrives once, after an exponential time of rate p(x). Then the order of arrival has the
law of first occurrences: the next name is any that is left, in proportion to its probability (Plackett and Luce).

The race is split down the tree of prefixes. The first arrival below a prefix comes after an exponential time whose rate
is the prefix's probability, and it is below one of its children, in proportion to their weights. Such a time has no
memory: so the wait for the other children begins anew, with the rate that is left, and so on. All names that arrive
before a horizon are found without looking at any prefix below which none does, and what a prefix draws depends on the
seed and on the prefix alone: neither a larger count nor the number of workers changes what came before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from namegen.automaton.automaton import Automaton
from namegen.automaton.compiled import compiled, f64, i32, i64, inlined, read_only, u8, u64
from namegen.automaton.logarithm import CONSTANTS
from namegen.device import cores
from namegen.questions.count import names_up_to, too_many
from namegen.sampling.spelling import spelt
from namegen.sampling.stream import SCHEMA, batch_of, check_range, sample

DRAWN = 2**16  # names from which horizons are estimated
AT_ONCE = 10_000_000  # names that are found and sorted at once; they take about a gigabyte
AHEAD = 2**23  # names that are kept for the parts that come next
BUFFER = 2**18  # names of one thread
_TOTAL, _TINY = 2.0**32, 2.0**-53
_LEAST = 1e-290  # the rate of what is less probable: a float holds no less, and nobody waits so long
_ROOT, _CHILD = 2**16, 2**17  # which words of a prefix; its arrivals have the lower blocks

_weights, _table, _floats = read_only(i64, 2), read_only(i32, 2), read_only(f64, 1)


# the names' symbols, end to end; their lengths in symbols; their times and log-probabilities
_Part = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Arrivals:
    """Names in the order of their arrival.

    Args:
        names, log_prob: Arrow arrays; nats.
        time: float64[N].
    """

    names: pa.StringArray
    log_prob: NDArray[np.float64]
    time: NDArray[np.float64]


def distinct(
    automaton: Automaton, seed: int, first: int, count: int, workers: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Names `first` to `first + count - 1` of a seed's race, in order, at most `AT_ONCE` at a time.

    Args:
        workers: how many threads; None for one per core. No result depends on it.

    Returns:
        an iterator over record batches of `sampling.stream.SCHEMA`.

    Raises:
        SettingError: for a seed or a range that no stream has, or more names than there are.
    """
    check_range(seed, first, count)
    wanted = first + count
    there = names_up_to(automaton, 2 * wanted)
    if there < wanted:
        raise too_many(there, wanted)
    horizon = _Horizons(automaton, everything=there < 2 * wanted)
    done, after = 0, -1.0  # names, and the time of the last one
    with ThreadPoolExecutor(workers or cores()) as pool:
        while done < wanted:
            goal = min(wanted, done + AT_ONCE)
            until = horizon.of(goal)
            arrivals = _between(automaton, seed, after, until, pool)
            found = len(arrivals.time)
            if found + done < goal and not math.isinf(until):
                horizon.is_short()
                continue
            start, stop = max(first - done, 0), min(found, wanted - done)
            if start < stop:
                log_prob = pa.py_buffer(arrivals.log_prob[start:stop])
                kept = pa.DoubleArray.from_buffers(pa.float64(), stop - start, [None, log_prob])
                yield batch_of(done + start, arrivals.names.slice(start, stop - start), kept)
            del arrivals  # they take as much as the next ones
            done, after = done + found, until


class Race:
    """Any rows of a seed's race, for threads that want them nearly in order.

    A row depends on all rows before it, so those found last are kept: up to `AHEAD` of them, from a multiple of that.
    """

    def __init__(self, automaton: Automaton, seed: int) -> None:
        self._automaton, self._seed = automaton, seed
        self._lock = Lock()
        self._kept: pa.Table = SCHEMA.empty_table()
        self._first = 0

    def rows(self, first: int, count: int) -> pa.Table:
        """Rows `first` to `first + count - 1`, of `sampling.stream.SCHEMA`.

        Raises:
            SettingError: for more names than there are.
        """
        base, end = first - first % AHEAD, first + count
        with self._lock:
            if base != self._first:
                self._kept, self._first = SCHEMA.empty_table(), base
            if end > base + len(self._kept):
                # twice as many as before, so that few are found more than twice
                wanted = max(end - base, min(2 * len(self._kept), AHEAD))
                there = names_up_to(self._automaton, base + wanted)
                if there < end:
                    raise too_many(there, end)
                batches = distinct(self._automaton, self._seed, base, min(wanted, there - base))
                self._kept = pa.Table.from_batches(batches, SCHEMA).combine_chunks()
            return self._kept.slice(first - base, count).combine_chunks()


class _Horizons:
    """The times by which so many names have arrived: of drawn names, each stands for 1 / (probability * drawn)."""

    def __init__(self, automaton: Automaton, *, everything: bool) -> None:
        self._everything = everything
        self._factor = 1.0
        drawn = np.array(sample(automaton, 0, 0, DRAWN)["log_prob"].to_pylist())
        self._probability = np.exp(np.maximum(drawn, -700.0))

    def of(self, count: int) -> float:
        """Most likely a little more than are needed."""
        if self._everything:
            return math.inf
        low, high = 0.0, 700.0
        for _ in range(50):
            middle = (low + high) / 2
            arrived = -np.expm1(-self._probability * math.exp(middle)) / self._probability
            low, high = (middle, high) if arrived.mean() < 1.01 * count + 20 else (low, middle)
        return math.exp(high) * self._factor

    def is_short(self) -> None:
        """The last one was too early."""
        self._factor *= 1.3


def _between(automaton: Automaton, seed: int, after: float, until: float, pool: ThreadPoolExecutor) -> Arrivals:
    """All names that arrive after one time and until another, in order."""
    depth, branches = _first_branch(automaton)

    def run(branch: int) -> _Part:
        return _run(automaton, seed, after, until, depth, branch)

    symbols, lengths, time, log_prob = _joined(list(pool.map(run, branches)))
    order = np.argsort(time, kind="stable")
    names = spelt(symbols, lengths.astype(np.int64), automaton.vocabulary)
    places = pa.Int64Array.from_buffers(pa.int64(), len(order), [None, pa.py_buffer(order)])  # pa.array imports pandas
    names = names.take(places)
    return Arrivals(names, log_prob[order], time[order])


def _first_branch(automaton: Automaton) -> tuple[int, list[int]]:
    """How many symbols all names have in common, and those that may come next: threads share the work by these."""
    state, depth = 0, 0
    while True:
        (following,) = np.nonzero(automaton.weights[state])
        if len(following) > 1 or following[0] == 0 or depth >= automaton.cap - 1:
            return depth, following.tolist()
        state, depth = int(automaton.successor[state, following[0]]), depth + 1


def _run(automaton: Automaton, seed: int, after: float, until: float, split: int, branch: int) -> _Part:
    """The part of a race below one branch, in the order of the tree."""
    vocabulary, deepest = automaton.vocabulary, automaton.longest + 2
    leads = vocabulary.first_lead, vocabulary.first_tail
    # of each prefix: state, characters, arrivals, and how many of these are done
    whole = np.zeros((4, deepest), np.int64)
    prefix, mass, so_far = np.zeros(deepest, np.uint64), np.ones(deepest), np.zeros(deepest)
    child, arrival = np.empty((deepest, len(vocabulary)), np.uint8), np.empty((deepest, len(vocabulary)))
    symbols = np.empty(BUFFER * 8 + deepest, np.uint8)
    lengths, time, log_prob = np.empty(BUFFER, np.uint8), np.empty(BUFFER), np.empty(BUFFER)
    tables = automaton.weights, np.ascontiguousarray(automaton.successor), automaton.log_probabilities, CONSTANTS
    parts, depth = [], 0
    while depth >= 0:
        depth, names, size = race(
            *tables, np.uint64(seed), after, until, split, branch, automaton.cap, *leads,
            depth, whole, prefix, mass, so_far, child, arrival, symbols, lengths, time, log_prob,
        )  # fmt: skip
        parts.append((symbols[:size].copy(), lengths[:names].copy(), time[:names].copy(), log_prob[:names].copy()))
    return _joined(parts)


def _joined(parts: list[_Part]) -> _Part:
    """One after another; each column of the parts is let go of once it is joined."""
    columns = [[*column] for column in zip(*parts, strict=True)]
    parts.clear()
    joined = []
    while columns:
        joined.append(np.concatenate(columns.pop(0)))
    symbols, lengths, time, log_prob = joined
    return symbols, lengths, time, log_prob


@inlined
def _philox(prefix, block, key):
    """Four words of a prefix; a plain stream's counters end with 0.

    Written again, as is the logarithm: numba would not see it if another file's function changed.
    """
    word = u64(0xFFFFFFFF)
    c0, c1, c2, c3 = prefix & word, prefix >> u64(32), block, u64(1)
    k0, k1 = key & word, key >> u64(32)
    for _ in range(10):
        p0, p1 = c0 * u64(0xD2511F53), c2 * u64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> u64(32)) ^ c1 ^ k0, p1 & word, (p0 >> u64(32)) ^ c3 ^ k1, p0 & word
        k0, k1 = (k0 + u64(0x9E3779B9)) & word, (k1 + u64(0xBB67AE85)) & word
    return c0, c1, c2, c3


@inlined
def _minus_ln(x, constants):
    """-ln(x) for 0 < x <= 1, with the same bits as `logarithm.ln`."""
    mantissa, k = math.frexp(x)
    if mantissa < constants[0]:
        mantissa *= 2
        k -= 1
    f = mantissa - 1
    s = f / (2 + f)
    z = s * s
    r = 0.0
    for i in range(len(constants) - 1, 2, -1):
        r = z * (constants[i] + r)
    half_square = 0.5 * f * f
    return ((half_square - (s * (half_square + r) + k * constants[2])) - f) - k * constants[1]


@compiled(_weights, _floats, u64, u64, f64, f64, f64, u8[::1], f64[::1])
def _arrive(row, constants, prefix, key, mass, now, until, child, arrival):
    """The children of a prefix below which a name arrives in time, and when the first one does. Returns how many.

    Args:
        row: int64[1, V]: the weights of the children.
        mass, now: the prefix's probability, and when its first name arrives.
    """
    left, count = i64(1) << 32, 0
    while left > 0:
        w0, w1, w2, w3 = _philox(prefix, u64(count), key)
        if count > 0:
            uniform = np.float64((w0 << u64(21) | w1 >> u64(11)) + u64(1)) * _TINY  # in (0, 1]
            rate = mass * (left / _TOTAL)
            if 1.0 - uniform > (until - now) * rate * 1.000001:  # -ln x >= 1 - x: most need no logarithm
                break
            now += _minus_ln(uniform, constants) / rate
            if now > until:
                break
        ticket = min(np.int64(np.float64(w2 << u64(21) | w3 >> u64(11)) * _TINY * left), left - 1)  # it can round up
        for v in range(row.shape[1]):
            weight = row[0, v]
            for k in range(count):
                if child[k] == v:
                    weight = 0
            if ticket < weight:
                child[count], arrival[count] = v, now
                left -= weight
                break
            ticket -= weight
        count += 1
    return count


@compiled(
    _weights, _table, read_only(f64, 2), _floats, u64, f64, f64, i64, i64, i64, i64, i64,
    i64, i64[:, ::1], u64[::1], f64[::1], f64[::1], u8[:, ::1], f64[:, ::1], u8[::1], u8[::1], f64[::1], f64[::1],
)  # fmt: skip
def race(
    weights, successor, logs, constants, key, after, until, split, branch, cap, first_lead, first_tail,
    depth, whole, prefix, mass, so_far, child, arrival, symbols, lengths, time, log_prob,
):  # fmt: skip
    """Goes on with a walk through the tree until it is done (a depth of -1) or the buffers are full.

    Args:
        weights, successor, logs: int64[S, V], int32[S, V] and float64[S, V], of an automaton.
        constants: `logarithm.CONSTANTS`.
        key: the seed.
        after, until: which arrivals to write.
        split, branch: of prefixes with so many symbols, only this child is looked at.
        cap, first_lead, first_tail: the most characters; leads are no characters.
        depth, whole, prefix, mass, so_far, child, arrival: where the walk is; see `_run`.
        symbols, lengths, time, log_prob: buffers for what is found.

    Returns:
        the depth, how many names were written, and how many symbols they have.
    """
    state, characters, arrivals, done = whole[0], whole[1], whole[2], whole[3]
    names, size, deepest = i64(0), i64(0), len(prefix)
    if arrivals[0] == 0:
        w0, w1, _, _ = _philox(u64(0), u64(_ROOT), key)
        now = _minus_ln(np.float64((w0 << u64(21) | w1 >> u64(11)) + u64(1)) * _TINY, constants)
        if now > until:
            return i64(-1), names, size
        arrivals[0] = _arrive(weights[0:1], constants, u64(0), key, 1.0, now, until, child[0], arrival[0])
    while depth >= 0:
        k = done[depth]
        if k == arrivals[depth]:
            depth -= 1
            continue
        if names == len(lengths) or size + deepest > len(symbols):
            return depth, names, size
        done[depth] = k + 1
        s, v, now = state[depth], i64(child[depth, k]), arrival[depth, k]
        if depth == split and v != branch:
            continue
        if v > 0:
            count = characters[depth] + (0 if first_lead <= v < first_tail else 1)
            if count < cap:
                to = i64(successor[s, v])
                w0, w1, _, _ = _philox(prefix[depth], u64(_CHILD + v), key)
                below = depth + 1
                prefix[below] = w0 << u64(32) | w1
                mass[below] = max(mass[depth] * (weights[s, v] / _TOTAL), _LEAST)
                state[below], characters[below], done[below] = to, count, 0
                so_far[below] = so_far[depth] + logs[s, v]
                arrivals[below] = _arrive(
                    weights[to : to + 1], constants, prefix[below], key, mass[below], now, until,
                    child[below], arrival[below],
                )  # fmt: skip
                depth = below
                continue
        if now > after:
            for i in range(depth):
                symbols[size + i] = child[i, done[i] - 1]
            length = depth
            if v > 0:
                symbols[size + depth] = v
                length += 1
            lengths[names], time[names], log_prob[names] = length, now, so_far[depth] + logs[s, v]
            names += 1
            size += length
    return depth, names, size
