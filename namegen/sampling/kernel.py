"""Stream version 1, compiled for one core: tables in, the buffers of Arrow arrays out.

Unlike `torch_sampler`, which takes each step by a dozen operations on whole arrays, this one takes it by two loops over
the names of a group: the first draws their symbols, the second follows them. Either reads one place of one table for a
name, and that was prefetched by the loop before, so that hundreds of reads of memory are under way at once. Waiting
for them one by one takes several times as long as all the rest.

Everything is unsigned: numba would take an index that may be negative as counted from the end.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from namegen.automaton.compiled import compiled, f64, i32, i64, prefetch, read_only, u8, u16, u32, u64

# One for each state and symbol; with 16 bytes, none lies across two cache lines.
ENTRY = np.dtype([("log_prob", np.float64), ("successor", np.uint32), ("unused", np.uint32)])

_LENGTH = 64  # symbols of a name at most
_BLOCK = 4  # words of Philox
_GROUP = 1024  # names that take their steps together; what is kept of them fits a core's own caches
_SHORT = 16  # bytes of a name that are copied at once

_entry = numba.from_dtype(ENTRY)
_cells, _entries, _bytes, _codes = read_only(u32, 1), read_only(_entry, 1), read_only(u8, 1), read_only(u8, 2)


@compiled(i64[::1], i64, i64[::1], u32[::1])
def _fill_row(weights, column_bits, order, row):
    """One row of `automaton.build_alias_tables`, by the same sweep; row uint32[2^b] as in `lay_out`.

    Args:
        weights: int64[2^b], those behind the last symbol 0.
        order: int64[2^b], to work with.
    """
    columns = len(row)
    capacity = np.int64(1) << (32 - column_bits)
    heavy = 0
    for column in range(columns):
        row[column] = column
        if weights[column] <= capacity:
            order[heavy] = column
            heavy += 1
    position = heavy
    for column in range(columns):
        if weights[column] > capacity:
            order[position] = column
            position += 1
    light, left = 0, np.int64(0)
    if heavy < columns:
        left = weights[order[heavy]]
    while heavy < columns and light < columns:
        if left > capacity:
            column = order[light]
            level = weights[column]
            light += 1
        else:
            column = order[heavy]
            level = left
            heavy += 1
            if heavy == columns:
                break
            left = weights[order[heavy]]
        if level < capacity:
            row[column] = level << column_bits | order[heavy]
        left -= capacity - level


@numba.njit(inline="always")
def _ln(weight, constants):
    """ln(weight / 2^32), the bits that `logarithm.ln` has; weight > 0."""
    mantissa, k = math.frexp(np.float64(weight))
    k -= 32
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
    return k * constants[1] - ((half_square - (s * (half_square + r) + k * constants[2])) - f)


@compiled(read_only(i64, 2), read_only(i32, 2), read_only(f64, 1), i64)
def lay_out(weights, successor, constants, column_bits):
    """The tables that `draw` reads.

    Args:
        weights, successor: int64[S, V] and int32[S, V], of an automaton.
        constants: `logarithm.CONSTANTS`.
        column_bits: b; an alias table has 2^b columns.

    Returns:
        cells uint32[S * 2^b]: the threshold of a column in the upper 32 - b bits, its alias in the others. A full
        column has the threshold 0, as its alias is its own symbol.
        entries `ENTRY`[S * V].
    """
    states, symbols = weights.shape
    columns = 1 << column_bits
    cells = np.empty(states * columns, np.uint32)
    entries = np.empty(states * symbols, ENTRY)
    padded, order = np.zeros(columns, np.int64), np.empty(columns, np.int64)
    for state in range(states):
        for symbol in range(symbols):
            entry = state * symbols + symbol
            weight = weights[state, symbol]
            entries[entry].log_prob = _ln(weight, constants) if weight > 0 else -np.inf
            entries[entry].successor = successor[state, symbol]
            entries[entry].unused = 0
            padded[symbol] = weight
        _fill_row(padded, column_bits, order, cells[state * columns : (state + 1) * columns])
    return cells, entries


@numba.njit(inline="always")
def _philox(index, block, key):
    """Four words, as `philox.philox4x32` has them."""
    word = u64(0xFFFFFFFF)
    c0, c1, c2, c3 = index & word, index >> u64(32), block, u64(0)
    k0, k1 = key & word, key >> u64(32)
    for _ in range(10):
        p0, p1 = c0 * u64(0xD2511F53), c2 * u64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> u64(32)) ^ c1 ^ k0, p1 & word, (p0 >> u64(32)) ^ c3 ^ k1, p0 & word
        k0, k1 = (k0 + u64(0x9E3779B9)) & word, (k1 + u64(0xBB67AE85)) & word
    return c0, c1, c2, c3


@compiled(u64, u64, u64, u64, u16[::1], u64, u32[:, ::1])
def _draw_words(key, first, names, block, active, going, words):
    """words[t, i] becomes word t of a block of name first + i, at least for the first `going` names of `active`."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    if going * u64(8) > names:  # for all: a loop without gaps is computed up to eight at a time
        for i in range(names):
            w0[i], w1[i], w2[i], w3[i] = _philox(first + i, block, key)
    else:
        for j in range(going):
            i = u64(active[j])
            w0[i], w1[i], w2[i], w3[i] = _philox(first + i, block, key)


@compiled(_cells, _entries, u64, u64, u32[::1], u32[::1], u16[::1], u64, u8[::1])
def _draw_symbols(cells, entries, column_bits, symbols, word, state, active, going, symbol):
    """symbol[j] becomes what the name active[j] draws by its word in its state, for j < going."""
    rest_bits, low = u64(32) - column_bits, u32((u64(1) << column_bits) - u64(1))
    for j in range(going):
        i = u64(active[j])
        column = u64(word[i]) >> rest_bits
        cell = cells[(u64(state[i]) << column_bits) + column]
        # rest < threshold, both shifted to the upper bits; ones below the rest, where the threshold has the alias
        is_own = u32(u32(word[i] << u32(column_bits)) | low) < cell
        drawn = column if is_own else u64(cell & low)
        symbol[j] = drawn
        prefetch(entries, u64(state[i]) * symbols + drawn)


@compiled(_cells, _entries, u64, u64, u32[::1], u32[::1], u16[::1], u64, u8[::1], _bytes, u8[:], u64[::1], f64[::1])
def _follow(
    cells, entries, column_bits, symbols, next_word, state, active, going, symbol, byte_of, place, length, log_prob
):
    """The name active[j] goes on to its next state, for j < going; returns how many go on, now first in `active`."""
    rest_bits = u64(32) - column_bits
    kept = u64(0)
    for j in range(going):
        i = u64(active[j])
        drawn = u64(symbol[j])
        entry = u64(state[i]) * symbols + drawn
        log_prob[i] += entries[entry].log_prob
        successor = u64(entries[entry].successor)
        state[i] = successor
        prefetch(cells, (successor << column_bits) + (u64(next_word[i]) >> rest_bits))
        place[i] = byte_of[drawn]
        goes_on = u64(drawn != u64(0))
        length[i] += goes_on
        active[kept] = i  # without a branch, as none could foresee which names end
        kept += goes_on
    return kept


@compiled(u8[::1], u64, u8[:, ::1], u64[::1], i32[::1])
def _join_bytes(data, used, drawn, lengths, ends):
    """A group's names go to `data`, from `used` on, and where each ends to `ends`; returns where the last does."""
    for i in range(u64(len(ends))):
        for step in range(u64(_SHORT)):  # always 16 bytes, which is one move: the next name covers what is too much
            data[used + step] = drawn[i, step]
        for step in range(u64(_SHORT), lengths[i]):
            data[used + step] = drawn[i, step]
        used += lengths[i]
        ends[i] = used
    return used


@compiled(u8[::1], u64, u8[:, ::1], u64[::1], i32[::1], _codes)
def _join_codes(data, used, drawn, lengths, ends, codes):
    """`_join_bytes` for symbols of several bytes each."""
    for i in range(u64(len(ends))):
        for step in range(lengths[i]):
            symbol = u64(drawn[i, step])
            size = u64(codes[symbol, 0])
            for byte in range(size):
                data[used + byte] = codes[symbol, u64(1) + byte]
            used += size
        ends[i] = used
    return used


@compiled(_cells, _entries, u64, _codes, u64, u64, u64)
def draw(cells, entries, column_bits, codes, seed, first, count):
    """Names `first` to `first + count - 1` of a seed's stream.

    Args:
        cells, entries, column_bits: as of `lay_out`.
        codes: uint8[V, 1 + w]: the bytes of each symbol in UTF-8, w at most, behind their number.
        count: below 2^23, so that an offset is an int32.

    Returns:
        data uint8[...], offsets int32[count + 1], log_prob float64[count]: the names' bytes end to end, where each
        begins and the last one ends, and their log-probabilities in nats.
    """
    symbols, width = u64(codes.shape[0]), u64(codes.shape[1] - 1)
    # `drawn` gets bytes where each symbol is one, and else symbols.
    byte_of = codes[:, 1].copy() if width == 1 else np.arange(codes.shape[0]).astype(np.uint8)
    words, state = np.empty((2, _BLOCK, _GROUP), np.uint32), np.empty(_GROUP, np.uint32)
    active, symbol = np.empty(_GROUP, np.uint16), np.empty(_GROUP, np.uint8)
    drawn, length = np.empty((_GROUP, _LENGTH), np.uint8), np.empty(_GROUP, np.uint64)
    most = u64(_GROUP * _LENGTH + _SHORT) * width  # bytes of a group
    data = np.empty(count * u64(8) * width + most, np.uint8)
    offsets, log_prob = np.zeros(count + u64(1), np.int32), np.zeros(count)
    used = u64(0)
    for start in range(u64(0), count, u64(_GROUP)):
        names = going = min(u64(_GROUP), count - start)
        total = log_prob[start : start + names]
        active[:], state[:], length[:] = np.arange(_GROUP), 0, 0
        _draw_words(seed, first + start, names, u64(0), active, going, words[0])
        for step in range(u64(_LENGTH)):
            block, t = step // u64(_BLOCK), step % u64(_BLOCK)
            _draw_symbols(cells, entries, column_bits, symbols, words[block % u64(2), t], state, active, going, symbol)
            if t == _BLOCK - 1:  # the next words, as `_follow` prefetches by them
                _draw_words(seed, first + start, names, block + u64(1), active, going, words[(block + u64(1)) % u64(2)])
            next_word = words[(step + u64(1)) // u64(_BLOCK) % u64(2), (step + u64(1)) % u64(_BLOCK)]
            going = _follow(
                cells, entries, column_bits, symbols, next_word, state, active, going, symbol, byte_of,
                drawn[:, step], length, total,
            )  # fmt: skip
            if going == 0:
                break
        if used + most > u64(len(data)):
            longer = np.empty(u64(2 * len(data)) + most, np.uint8)
            longer[:used] = data[:used]
            data = longer
        ends = offsets[start + u64(1) : start + names + u64(1)]
        if width == 1:
            used = _join_bytes(data, used, drawn, length, ends)
        else:
            used = _join_codes(data, used, drawn, length, ends, codes)
    return data[:used], offsets, log_prob
