"""The product of an automaton with a condition, and conditional probabilities: the loops, compiled.

Of a state, h is the probability that a name which is there goes on to answer. It is 1 in a free state, from which every
continuation answers. Elsewhere h(s) is the sum of w(s, v) h(successor(s, v)) over the symbols v, and the conditional
probability of v is its share of the sum.

A walk has up to 128 steps of probability 2^-32 or more, so h may be far below what a float64 holds. It is kept as a
mantissa and an exponent. All operations are such as IEEE 754 rounds exactly, in a fixed order, so the results have the
same bits on every machine.
"""

from __future__ import annotations

import math

import numpy as np

from namegen.automaton.compiled import compiled, f64, i32, i64, inlined, read_only, u8, u64

_BELOW = 1100  # beside 1, 2^-1100 and less is nothing
POWERS = np.ldexp(1.0, -np.arange(_BELOW + 1))  # of 1/2; the last ones are 0
_SETTLED = 2.0**-50  # a relative change that is rounding
_flags, _numbers, _wide, _table = read_only(u8, 1), read_only(i32, 1), read_only(i64, 1), read_only(i32, 2)


@inlined
def _slot(keys, key, mask):
    """Where a key is in a hash table, or where it would be."""
    place = (u64(key) * u64(0x9E3779B97F4A7C15) >> u64(20)) & mask
    while keys[place] >= 0 and keys[place] != key:
        place = (place + u64(1)) & mask
    return place


@compiled(_table, _numbers, _wide, _flags, _numbers, _flags, i64)
def pairs(successor, usual, first, symbol, target, is_free, most):
    """The pairs of a graph's state and a condition's that names reach from (0, 0), in breadth-first order.

    All free states of the condition count as one, Q.

    Args:
        successor: int32[N, V]: -1 where no name goes on.
        usual, first, symbol, target, is_free: of a `Condition` with Q states.
        most: how many pairs are enough.

    Returns:
        state int32[M], of the graph; part int32[M], of the condition; after int32[M, V]: the pair after each symbol, or
        -1. If there are more than `most`, then M is 0.
    """
    symbols, free = successor.shape[1], len(usual)
    room = min(i64(4096), most)
    state, part, after = np.empty(room, np.int32), np.empty(room, np.int32), np.empty((room, symbols), np.int32)
    keys, values = np.full(16384, -1, np.int64), np.empty(16384, np.int32)
    mask = u64(len(keys) - 1)
    now = np.empty(symbols, np.int32)  # the condition's state after each symbol
    state[0], part[0] = 0, free if is_free[0] else 0
    place = _slot(keys, i64(part[0]), mask)
    keys[place], values[place] = part[0], 0
    count, done = i64(1), i64(0)
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
            if q < free and is_free[q]:
                q = free
            key = to * (free + 1) + q
            place = _slot(keys, key, mask)
            if keys[place] < 0:
                if count == most:
                    return state[:0], part[:0], after[:0]
                if count == room:
                    room = min(2 * room, most)
                    old_state, old_part, old_after = state, part, after
                    state, part = np.empty(room, np.int32), np.empty(room, np.int32)
                    after = np.empty((room, symbols), np.int32)
                    state[:count], part[:count], after[:count] = old_state, old_part, old_after
                if 2 * count > len(keys):
                    old_keys, old_values = keys, values
                    keys, values = np.full(4 * len(old_keys), -1, np.int64), np.empty(4 * len(old_keys), np.int32)
                    mask = u64(len(keys) - 1)
                    for old in range(len(old_keys)):
                        if old_keys[old] >= 0:
                            place = _slot(keys, old_keys[old], mask)
                            keys[place], values[place] = old_keys[old], old_values[old]
                    place = _slot(keys, key, mask)
                keys[place], values[place] = key, count
                state[count], part[count] = to, q
                count += 1
            after[done, v] = values[place]
        done += 1
    return state[:count], part[:count], after[:count]


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


@compiled(_table, _flags, _flags, _numbers, read_only(i64, 2), read_only(f64, 1), _numbers, i64)
def backward(successor, ends, free, row, weights, powers, order, sweeps):
    """The probability h of answering from each state, by sweeps in postorder; parts without circles need only one.

    Args:
        successor: int32[N, V]; -1 where no name goes on.
        ends, free: bool[N]: whether a name may end here, and whether every continuation answers.
        row: int32[N]: the row of `weights` of each state.
        weights: int64[S, V], of the model's automaton.
        powers: `POWERS`.
        order: from `postorder`.
        sweeps: how many are enough.

    Returns:
        mantissa float64[N], exponent int64[N]: h = mantissa * 2^exponent, with a mantissa of 0 or in [1/2, 1).
        whether the last sweep changed nothing but the last bits.
    """
    states, symbols = successor.shape
    mantissa, exponent, settled = np.zeros(states), np.zeros(states, np.int64), np.zeros(states, np.uint8)
    for s in range(states):
        if free[s]:
            mantissa[s], exponent[s], settled[s] = 0.5, 1, 1
    for _ in range(sweeps):
        is_done = True
        for i in range(len(order)):
            s = i64(order[i])
            if settled[s]:
                continue
            of = i64(row[s])
            top, all_settled = i64(-1000000000), True
            if ends[s]:
                top = i64(1)
            for v in range(1, symbols):
                to = i64(successor[s, v])
                if to >= 0:
                    all_settled = all_settled and settled[to] != 0
                    if mantissa[to] > 0 and exponent[to] > top:
                        top = exponent[to]
            total = 0.0
            if ends[s] and top - 1 <= 1100:
                total = weights[of, 0] * 0.5 * powers[top - 1]
            for v in range(1, symbols):
                to = i64(successor[s, v])
                if to >= 0 and mantissa[to] > 0 and top - exponent[to] <= 1100:
                    total += weights[of, v] * mantissa[to] * powers[top - exponent[to]]
            if total > 0:
                m, e = math.frexp(total)
                now = e - 32 + top
                change = 1.0
                if now == exponent[s]:
                    change = abs(m - mantissa[s])
                mantissa[s], exponent[s] = m, now
                if change > 2.0**-50 and not all_settled:
                    is_done = False
            elif not all_settled:
                is_done = False
            if all_settled:
                settled[s] = 1
        if is_done:
            return mantissa, exponent, True
    return mantissa, exponent, False


@compiled(
    _table,
    _flags,
    _numbers,
    read_only(i64, 2),
    read_only(f64, 1),
    read_only(f64, 1),
    _wide,
    read_only(i64, 1),
    f64[:, ::1],
)
def conditional(successor, ends, row, weights, powers, mantissa, exponent, wanted, table):
    """Sets table[i] to the conditional distribution in state wanted[i]; what is possible is never 0."""
    symbols = successor.shape[1]
    for i in range(len(wanted)):
        s = wanted[i]
        of = i64(row[s])
        top = i64(1) if ends[s] else i64(-1000000000)
        for v in range(1, symbols):
            to = i64(successor[s, v])
            if to >= 0 and exponent[to] > top:
                top = exponent[to]
        total = 0.0
        for v in range(symbols):
            m, e, possible = 0.5, i64(1), ends[s] != 0
            if v > 0:
                to = i64(successor[s, v])
                possible = to >= 0
                if possible:
                    m, e = mantissa[to], exponent[to]
            share = 0.0
            if possible:
                share = weights[of, v] * m * powers[min(top - e, i64(1100))]
            table[i, v] = share
            total += share
        for v in range(symbols):
            possible = ends[s] != 0 if v == 0 else successor[s, v] >= 0
            if possible:
                table[i, v] = max(table[i, v] / total, 1e-300)


@compiled(read_only(i64, 2), i32[:, ::1], _numbers)
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
