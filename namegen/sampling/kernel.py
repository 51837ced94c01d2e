"""Stream version 1, compiled for one core: tables in, the buffers of Arrow arrays out.

Unlike `torch_sampler`, which takes each step with a dozen operations on whole arrays, this kernel takes it with two
loops over the names of a group. The first loop draws their symbols, and the second moves them to their next states.
Each loop reads one table entry per name, which the loop before has prefetched, so hundreds of memory reads are in
flight at once. Waiting for them one by one takes several times as long as all the rest.

All indices in `draw` are unsigned: for a signed index, numba adds a check for negative ones, which count from the end.
"""

from __future__ import annotations

import math

import numpy as np

from namegen.automaton.compiled import compiled, f64, i32, i64, inlined, prefetch, read_only, record, u8, u16, u32, u64

# One entry per state and symbol. At 16 bytes, none straddles two cache lines.
ENTRY = np.dtype([("log_prob", np.float64), ("successor", np.uint32), ("unused", np.uint32)])

_BLOCK = 4  # words per call of Philox
_GROUP = 1024  # names that step together; their buffers fit the caches of one core
_SHORT = 16  # bytes of a name that are copied in one move

_entry = record(ENTRY)
_cells, _entries, _bytes, _texts = read_only(u32, 1), read_only(_entry, 1), read_only(u8, 1), read_only(u8, 2)


@compiled(i64[::1], i64, i64[::1], u32[::1])
def _fill_row(weights, column_bits, order, row):
    """Fills one row of cells, by the same sweep as `alias_tables.build_alias_tables`.

    Args:
        weights: int64[2^b], 0 past the last symbol.
        order: int64[2^b], scratch space.
        row: uint32[2^b], as in `lay_out`.
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


@inlined
def _ln(weight, constants):
    """ln(weight / 2^32), with the same bits as `logarithm.ln`; weight > 0."""
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
        cells uint32[S * 2^b]: a column's threshold in the upper 32 - b bits, and its alias in the lower b. A full
        column has threshold 0, because its alias is its own symbol.
        entries `ENTRY`[S * V]: the log-probability (nats) and the next state of each symbol.
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


@inlined
def _philox(index, block, key):
    """Four words, the same as those of `philox.philox4x32`."""
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
    """Sets words[t, i] to word t of a block of name first + i, for all names or for the first `going` of `active`."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    if going * u64(8) > names:  # for all names: without gaps, the processor computes up to eight at a time
        for i in range(names):
            w0[i], w1[i], w2[i], w3[i] = _philox(first + i, block, key)
    else:
        for j in range(going):
            i = u64(active[j])
            w0[i], w1[i], w2[i], w3[i] = _philox(first + i, block, key)


@compiled(_cells, _entries, u64, u64, u32[::1], u32[::1], u16[::1], u64, u8[::1])
def _draw_symbols(cells, entries, column_bits, symbols, word, state, active, going, symbol):
    """Sets symbol[j] to the symbol that name active[j] draws with its word in its state, for j < going."""
    rest_bits, low = u64(32) - column_bits, u32((u64(1) << column_bits) - u64(1))
    for j in range(going):
        i = u64(active[j])
        column = u64(word[i]) >> rest_bits
        cell = cells[(u64(state[i]) << column_bits) + column]
        # rest < threshold, compared in the upper bits. Below them the cell has its alias, and ones make a tie false.
        is_own = u32(u32(word[i] << u32(column_bits)) | low) < cell
        drawn = column if is_own else u64(cell & low)
        symbol[j] = drawn
        prefetch(entries, u64(state[i]) * symbols + drawn)


@compiled(_cells, _entries, u64, u64, u32[::1], u32[::1], u16[::1], u64, u8[::1], _bytes, u8[:], u64[::1], f64[::1])
def _follow(
    cells, entries, column_bits, symbols, next_word, state, active, going, symbol, byte_of, target, length, log_prob
):
    """Moves name active[j] to its next state, for j < going. Returns how many do not end; they now lead `active`."""
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
        target[i] = byte_of[drawn]
        goes_on = u64(drawn != u64(0))
        length[i] += goes_on
        active[kept] = i  # no branch: it is unpredictable which names end
        kept += goes_on
    return kept


@compiled(u8[::1], u64, u8[:, ::1], u64[::1], i32[::1])
def _join_bytes(data, used, drawn, lengths, ends):
    """Copies a group's names to `data`, from `used` on, and their ends to `ends`. Returns the last end."""
    for i in range(u64(len(ends))):
        for step in range(u64(_SHORT)):  # always 16 bytes, in one move: the next name overwrites the excess
            data[used + step] = drawn[i, step]
        for step in range(u64(_SHORT), lengths[i]):
            data[used + step] = drawn[i, step]
        used += lengths[i]
        ends[i] = used
    return used


@compiled(u8[:, ::1], u64, u16[::1], u64, u64, u64, u64, u64[::1])
def _end_full(drawn, step, active, going, first_lead, first_tail, cap, characters):
    """Ends the names as long as the cap, where some symbols are leads, and no characters. Returns how many go on."""
    kept = u64(0)
    for j in range(going):
        i = u64(active[j])
        symbol = u64(drawn[i, step])
        characters[i] += u64(symbol < first_lead or symbol >= first_tail)
        active[kept] = i
        kept += u64(characters[i] < cap)
    return kept


@compiled(u8[::1], u64, u8[:, ::1], u64[::1], i32[::1], _texts, read_only(u64, 1), read_only(u64, 1))
def _join_texts(data, used, drawn, lengths, ends, texts, value, spelling):
    """Like `_join_bytes`, for characters of one or more bytes each, and of one or more symbols."""
    first_lead, first_tail = spelling[1], spelling[2]
    last = u64(texts.shape[0] - 1)
    for i in range(u64(len(ends))):
        place = u64(0)
        for step in range(lengths[i]):
            symbol = u64(drawn[i, step])
            place += value[symbol]
            if first_lead <= symbol < first_tail:
                continue
            place = min(place, last)
            size = u64(texts[place, 0])
            for byte in range(size):
                data[used + byte] = texts[place, u64(1) + byte]
            used += size
            place = u64(0)
        ends[i] = used
    return used


@compiled(_cells, _entries, u64, _texts, read_only(u64, 1), read_only(u64, 1), u64, u64, u64, u64)
def draw(cells, entries, column_bits, texts, value, spelling, longest, seed, first, count):
    """Names `first` to `first + count - 1` of a seed's stream.

    Args:
        cells, entries, column_bits: as in `lay_out`.
        texts: uint8[C, 1 + w]: of the boundary and all characters, as from `cpu_sampler.byte_texts`.
        value: uint64[V]: the place of a character in `texts` is the sum of the values of its symbols.
        spelling: uint64[4]: V, the first lead and the first tail of codes, and the cap.
        longest: how many symbols the longest name has.
        count: below 2^23, so that the offsets fit int32.

    Returns:
        data uint8[...]: the bytes of all names, end to end.
        offsets int32[count + 1]: where each name begins, and where the last one ends.
        log_prob float64[count]: in nats.
    """
    symbols, width = spelling[0], u64(texts.shape[1] - 1)
    first_lead, first_tail, cap = spelling[1], spelling[2], spelling[3]
    is_bytes = width == 1 and first_lead == first_tail
    characters = np.empty(_GROUP, np.uint64)
    # `drawn` holds bytes if every symbol is one byte, and symbol ids otherwise.
    byte_of = texts[:, 1].copy() if is_bytes else np.arange(i64(symbols)).astype(np.uint8)
    words, state = np.empty((2, _BLOCK, _GROUP), np.uint32), np.empty(_GROUP, np.uint32)
    active, symbol = np.empty(_GROUP, np.uint16), np.empty(_GROUP, np.uint8)
    drawn, length = np.empty((_GROUP, longest), np.uint8), np.empty(_GROUP, np.uint64)
    room = (u64(_GROUP) * longest + u64(_SHORT)) * width  # the most bytes that a group takes
    data = np.empty(count * u64(8) * width + room, np.uint8)
    offsets, log_prob = np.zeros(count + u64(1), np.int32), np.zeros(count)
    used = u64(0)
    for start in range(u64(0), count, u64(_GROUP)):
        names = going = min(u64(_GROUP), count - start)
        total = log_prob[start : start + names]
        active[:], state[:], length[:], characters[:] = np.arange(_GROUP), 0, 0, 0
        _draw_words(seed, first + start, names, u64(0), active, going, words[0])
        for step in range(longest):
            block, t = step // u64(_BLOCK), step % u64(_BLOCK)
            _draw_symbols(cells, entries, column_bits, symbols, words[block % u64(2), t], state, active, going, symbol)
            if t == _BLOCK - 1:  # already the next block: `_follow` prefetches by its first word
                _draw_words(seed, first + start, names, block + u64(1), active, going, words[(block + u64(1)) % u64(2)])
            next_word = words[(step + u64(1)) // u64(_BLOCK) % u64(2), (step + u64(1)) % u64(_BLOCK)]
            going = _follow(
                cells, entries, column_bits, symbols, next_word, state, active, going, symbol, byte_of,
                drawn[:, step], length, total,
            )  # fmt: skip
            if first_lead < first_tail:
                going = _end_full(drawn, step, active, going, first_lead, first_tail, cap, characters)
            if going == 0:
                break
        if used + room > u64(len(data)):
            longer = np.empty(u64(2 * len(data)) + room, np.uint8)
            longer[:used] = data[:used]
            data = longer
        ends = offsets[start + u64(1) : start + names + u64(1)]
        if is_bytes:
            used = _join_bytes(data, used, drawn, length, ends)
        else:
            used = _join_texts(data, used, drawn, length, ends, texts, value, spelling)
    return data[:used], offsets, log_prob
