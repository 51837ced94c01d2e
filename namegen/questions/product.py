"""The product of an automaton with a condition, and conditional probabilities: the loops, compiled.

Of a state, h is the probability that a name which is there goes on to answer. It is 1 in a free state, from which every
continuation answers. Elsewhere h(s) is the sum of w(s, v) h(successor(s, v)) over the symbols v, and the conditional
probability of v is its share of the sum.

A walk has up to 128 steps of probability 2^-32 or more, so h may be far below what a float64 holds. It is kept as a
value of 2^-512 or more, or 0, and how often it was multiplied by 2^512. All operations are such as IEEE 754 rounds
exactly, in a fixed order, so the results have the same bits on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from namegen.automaton.compiled import boolean, compiled, f64, i32, i64, inlined, read_only, u8, u64

_SHIFT = 2.0**512
SHIFTS = 127
_FINAL = 128
_DENSE = 2**24  # so many numbers are a table, and more a hash table
_SETTLED = 2.0**-50  # a relative change that is rounding
_TOTAL = 2.0**32
_POSSIBLE = 1e-300  # the least probability of what is possible: it is rounded up to a weight of 1
_flags, _numbers, _wide, _table = read_only(u8, 1), read_only(i32, 1), read_only(i64, 1), read_only(i32, 2)
_weights, _floats = read_only(i64, 2), read_only(f64, 1)


def pairs(successor: Any, condition: Any, is_free: Any, is_done: Any, most: int) -> Any:
    """The pairs of a graph's state and a condition's that names reach from (0, 0), in breadth-first order.

    Args:
        successor: int32[N, V]: -1 where no name goes on.
        condition: a `Condition` with Q states.
        is_free: bool[Q]: its free states, which count as one, Q.
        is_done: bool[N]: the graph's states where the condition does not matter, and counts as free.
        most: how many pairs are enough.

    Returns:
        state int32[M], of the graph; part int32[M], of the condition; after int32[M, V]: the pair after each symbol, or
        -1. If there are more than `most`, M is 0.
    """
    symbols, parts, room = successor.shape[1], len(is_free) + 1, min(2**12, most)
    state, part, after = (np.empty(shape, np.int32) for shape in (room, room, (room, symbols)))
    state[0], part[0] = 0, len(is_free) if is_free[0] or is_done[0] else 0
    is_dense = len(successor) * parts <= _DENSE
    slots = 2**20
    keys = np.full(1 if is_dense else slots, -1)
    values = np.full(len(successor) * parts if is_dense else slots, -1, np.int32)
    _enter(keys, values, part[:1].astype(np.int64), is_dense)
    count = done = 0
    arrays = (
        condition.usual,
        condition.first,
        condition.symbol,
        condition.target,
        is_free.view(np.uint8),
        is_done.view(np.uint8),
    )
    while True:
        count, done = _pairs(successor, *arrays, state, part, after, keys, values, is_dense, max(count, 1), done)
        if done == count:
            return state[:count], part[:count], after[:count]
        if count == most:
            return state[:0], part[:0], after[:0]
        room = min(2 * room, most)
        state, part, after = (_longer(array[:count], room) for array in (state, part, after))
        if not is_dense and 2 * room > len(keys):
            keys, values = np.full(4 * len(keys), -1), np.full(4 * len(keys), -1, np.int32)
            _enter(keys, values, state[:count].astype(np.int64) * parts + part[:count], is_dense)


def _longer(array, room):
    longer = np.empty((room, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


@inlined
def _slot(keys, key, mask):
    """Where a key is in a hash table, or where it would be."""
    place = (u64(key) * u64(0x9E3779B97F4A7C15) >> u64(20)) & mask
    while keys[place] >= 0 and keys[place] != key:
        place = (place + u64(1)) & mask
    return place


@compiled(i64[::1], i32[::1], i64[::1], boolean)
def _enter(keys, values, new, is_dense):
    """Numbers the keys from 0 on: in a hash table, or where it is dense in `values` alone."""
    mask = u64(len(keys) - 1)
    for i in range(len(new)):
        place = u64(new[i]) if is_dense else _slot(keys, new[i], mask)
        if not is_dense:
            keys[place] = new[i]
        values[place] = i


@compiled(
    _table, _numbers, _wide, _flags, _numbers, _flags, _flags,
    i32[::1], i32[::1], i32[:, ::1], i64[::1], i32[::1], boolean, i64, i64,
)  # fmt: skip
def _pairs(
    successor, usual, first, symbol, target, is_free, is_done, state, part, after, keys, values, is_dense, count, done
):  # fmt: skip
    """Goes on from `done` of `count` pairs until there are no more or the arrays are full. Returns the same two."""
    # The arrays are never replaced in here: that makes numba's code 18 times slower.
    symbols, free, mask = successor.shape[1], len(usual), u64(len(keys) - 1)
    now = np.empty(symbols, np.int32)  # the condition's state after each symbol
    while done < count:
        n, q = i64(state[done]), i64(part[done])
        if q == free:
            now[:] = free
        else:
            now[:] = usual[q]
            for arrow in range(first[q], first[q + 1]):
                now[symbol[arrow]] = target[arrow]
        after[done, 0] = -1
        for v in range(1, symbols):
            after[done, v] = -1
            to, q = i64(successor[n, v]), i64(now[v])
            if to < 0 or q < 0:
                continue
            if q < free and (is_free[q] or is_done[to]):
                q = free
            key = to * (free + 1) + q
            place = u64(key) if is_dense else _slot(keys, key, mask)
            number = i64(values[place])
            if number < 0:
                if count == len(state):
                    return count, done
                if not is_dense:
                    keys[place] = key
                values[place], state[count], part[count] = count, to, q
                number = count
                count += 1
            after[done, v] = number
        done += 1
    return count, done


@compiled(_table, _flags)
def answering(successor, ends):
    """uint8[N]: whether a name can end at the state or go on from it to one where it can.

    Args:
        successor: int32[N, V], in breadth-first order; -1 where no name goes on.
        ends: bool[N]: whether a name can end here.
    """
    states, symbols = successor.shape
    alive = np.zeros(states, np.uint8)
    changed = True
    while changed:
        changed = False
        for s in range(states - 1, -1, -1):
            if alive[s]:
                continue
            found = ends[s] != 0
            for v in range(1, symbols):
                to = successor[s, v]
                found = found or (to >= 0 and alive[to] != 0)
            if found:
                alive[s] = 1
                changed = True
    return alive


@compiled(i32[:, ::1], _flags)
def keep(successor, alive):
    """Renumbers the states, in place: those that are not alive are left out. Returns how many are left."""
    states, symbols = successor.shape
    number = np.full(states, -1, np.int32)
    kept = i64(0)
    for s in range(states):
        if alive[s]:
            number[s] = kept
            kept += 1
    for s in range(states):
        if alive[s]:
            for v in range(symbols):
                to = successor[s, v]
                successor[number[s], v] = number[to] if to >= 0 else -1
    return kept


@compiled(_table)
def postorder(successor):
    """int32[N]: the states in the order in which a depth-first search from state 0 leaves them."""
    states, symbols = successor.shape
    order, stack = np.empty(states, np.int32), np.empty(states, np.int32)
    next_symbol = np.zeros(states, np.int32)  # 0: not yet met
    stack[0], depth, left = 0, i64(1), i64(0)
    next_symbol[0] = 1
    while depth:
        s = i64(stack[depth - 1])
        v = next_symbol[s]
        if v == symbols:
            order[left] = s
            left += 1
            depth -= 1
            continue
        next_symbol[s] = v + 1
        to = i64(successor[s, v])
        if to >= 0 and next_symbol[to] == 0:
            next_symbol[to] = 1
            stack[depth] = to
            depth += 1
    return order[:left]


@inlined
def _shifted(successor, weights, ends, value, kind, s):
    """The sum of a state in which some terms are far smaller than others, with the shift of the largest."""
    least = i64(0 if ends[s] else _FINAL)
    for v in range(1, successor.shape[1]):
        to = successor[s, v]
        if to >= 0 and value[to] > 0.0:
            least = min(least, i64(kind[to] & u8(SHIFTS)))
    total = np.float64(weights[s, 0]) if ends[s] else 0.0
    for v in range(1, successor.shape[1]):
        to = successor[s, v]
        if to >= 0:
            shift = i64(kind[to] & u8(SHIFTS)) - least
            if shift <= 1:
                total += weights[s, v] * value[to] * (1.0 if shift == 0 else 1.0 / _SHIFT)
    return total, least


@compiled(_table, _weights, _flags, _flags, i64)
def backward(successor, weights, ends, free, sweeps):
    """The probability h of answering from each state, by sweeps from the last to the first.

    Args:
        successor: int32[N, V], in breadth-first order, so that a sweep is nearly enough where there are no circles.
        weights: int64[N, V], of the automaton, for each state of the graph.
        ends, free: bool[N]: whether a name may end here, and whether every continuation answers.
        sweeps: how many are enough.

    Returns:
        value float64[N], kind uint8[N]: h = value / 2^(512 shift), where the shift is the lower seven bits of kind.
        whether the last sweep changed nothing but the last bits.
    """
    states, symbols = successor.shape
    value, kind = np.zeros(states), np.zeros(states, np.uint8)  # the upper bit of kind: the value is final
    for s in range(states):
        if free[s]:
            value[s], kind[s] = 1.0, _FINAL
    for _ in range(sweeps):
        is_done = True
        for s in range(states - 1, -1, -1):
            if kind[s] & _FINAL:
                continue
            every, some = u8(_FINAL), u8(0)
            total = np.float64(weights[s, 0]) if ends[s] else 0.0
            for v in range(1, symbols):
                to = successor[s, v]
                if to >= 0:
                    every &= kind[to]
                    some |= kind[to]
                    total += weights[s, v] * value[to]
            shift = i64(0)
            if some & u8(SHIFTS):
                total, shift = _shifted(successor, weights, ends, value, kind, s)
            total /= _TOTAL
            if 0.0 < total < 1.0 / _SHIFT:
                total, shift = total * _SHIFT, shift + 1
            if not every:
                is_same = shift == (kind[s] & u8(SHIFTS)) and abs(total - value[s]) <= _SETTLED * total
                is_done = is_done and is_same and total > 0.0
            value[s], kind[s] = total, u8(shift) | every
        if is_done:
            return value, kind, True
    return value, kind, False


@compiled(_table, _weights, _flags, _floats, _flags, _wide, f64[:, ::1])
def conditional(successor, weights, ends, value, kind, wanted, table):
    """Sets table[i] to the conditional distribution in state wanted[i]; what is possible is never 0."""
    symbols = successor.shape[1]
    for i in range(len(wanted)):
        s = wanted[i]
        least, total = i64(0 if ends[s] else _FINAL), 0.0
        for v in range(1, symbols):
            to = successor[s, v]
            if to >= 0:
                least = min(least, i64(kind[to] & u8(SHIFTS)))
        for v in range(symbols):
            to = successor[s, v]
            share, shift = 0.0, i64(2)
            if v == 0 and ends[s]:
                share, shift = np.float64(weights[s, v]), -least
            elif to >= 0:
                share, shift = weights[s, v] * value[to], i64(kind[to] & u8(SHIFTS)) - least
            table[i, v] = share if shift == 0 else share / _SHIFT if shift == 1 else 0.0
            total += table[i, v]
        for v in range(symbols):
            if successor[s, v] >= 0 or (v == 0 and ends[s]):
                table[i, v] = max(table[i, v] / total, _POSSIBLE)


@compiled(_weights, i32[:, ::1], _numbers)
def merged(weights, successor, order):
    """int32[N]: of each state, the first that has the same weights and successors once states are merged.

    Cycles are not merged: a state that an arrow leads back to counts as different from all others.

    Args:
        weights: int64[N, V].
        successor: int32[N, V]; -1 where no name goes on.
        order: from `postorder`.
    """
    states, symbols = successor.shape
    same = np.arange(states).astype(np.int32)
    size = i64(4)
    while size < 2 * states:
        size *= 2
    table, mask = np.full(size, -1, np.int32), u64(size - 1)
    for i in range(len(order)):
        s = i64(order[i])
        mixed = u64(0)
        for v in range(symbols):
            to = i64(successor[s, v])
            if to >= 0:
                successor[s, v] = same[to]
            mixed = (mixed ^ u64(weights[s, v])) * u64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> u64(29)) ^ u64(successor[s, v])) * u64(0xBF58476D1CE4E5B9)
        place = (mixed ^ (mixed >> u64(32))) & mask
        while table[place] >= 0:
            other = i64(table[place])
            equal = True
            for v in range(symbols):
                if weights[s, v] != weights[other, v] or successor[s, v] != successor[other, v]:
                    equal = False
                    break
            if equal:
                break
            place = (place + u64(1)) & mask
        if table[place] < 0:
            table[place] = s
        same[s] = table[place]
    return same


@compiled(_table, _weights, _flags, i64, f64)
def still_bound(successor, weights, free, steps, enough):
    """The probability that a name is in a state that is not free after so many symbols; 0 once it is below `enough`.

    Args:
        successor: int32[N, V]; -1 where no name goes on.
        weights: int64[N, V].
        free: bool[N].
    """
    states, symbols = successor.shape
    mass, after = np.zeros(states), np.zeros(states)
    mass[0] = 1.0
    if free[0]:
        return 0.0
    for _ in range(steps):
        total = 0.0
        after[:] = 0.0
        for s in range(states):
            if mass[s] == 0.0:
                continue
            share = mass[s] / _TOTAL
            for v in range(1, symbols):
                to = i64(successor[s, v])
                if to >= 0 and not free[to]:
                    flow = share * weights[s, v]
                    after[to] += flow
                    total += flow
        mass, after = after, mass
        if total < enough:
            return 0.0
    return total
