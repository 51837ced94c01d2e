"""Why a name has the probability that it has: of each symbol the context, what is known of it, and what else may be.

Unlike `walk`, which scores a million names at once, it follows a single one and keeps what it saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.errors import SettingError
from namegen.vocabulary import BOUNDARY, MAX_LENGTH

if TYPE_CHECKING:
    import polars as pl


def explain(automaton: Automaton, name: str, alternatives: int) -> pl.DataFrame:
    """A row for each symbol of a name, the boundary at its end included; see `Automaton.explain`."""
    import polars as pl  # slow to import

    if alternatives < 0:
        raise SettingError(f"{alternatives} alternatives cannot be named")
    symbols, states, lengths = automaton.vocabulary.symbols, automaton.successor, automaton.context_lengths
    (ids, _), before, state, rows = automaton.vocabulary.encode([name]), BOUNDARY, 0, []
    for step, (symbol, number) in enumerate(zip(name + BOUNDARY, [*ids.tolist(), 0], strict=True), 1):
        weights, log_probabilities = automaton.weights[state], automaton.log_probabilities[state]
        if step > MAX_LENGTH:  # the end is certain
            is_end = np.arange(len(symbols)) == 0
            weights, log_probabilities = TOTAL * is_end, np.where(is_end, 0.0, -np.inf)
        weight = 0 if number < 0 else int(weights[number])
        likely = [v for v in np.argsort(-weights, kind="stable") if weights[v] and v != number][:alternatives]
        rows.append(
            (
                step,
                before[-(automaton.order - 1) :],
                before[len(before) - int(lengths[state]) :],
                symbol.encode("utf-8", "backslashreplace").decode(),  # half a surrogate pair is no text
                weight / TOTAL,
                float(log_probabilities[number]) if weight else -np.inf,
                [{"symbol": symbols[v], "probability": float(weights[v] / TOTAL)} for v in likely],
            )
        )
        if not weight:
            break
        before, state = before + symbol, int(states[state, number])
    other = pl.Struct({"symbol": pl.String, "probability": pl.Float64})
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "step": pl.Int64,
        "context": pl.String,
        "known": pl.String,
        "symbol": pl.String,
        "probability": pl.Float64,
        "log_prob": pl.Float64,
        "alternatives": pl.List(other),
    }
    return pl.DataFrame(rows, schema, orient="row")


def context_lengths(automaton: Automaton) -> NDArray[np.int64]:
    """int64[S]: how many symbols the context of each state has, the last ones that were drawn.

    States 0 to V-1 are the symbols. A context that is longer is first reached from the one without its last symbol,
    so the states that are met at distance k from those have contexts of k+1 symbols, at most n-1.
    """
    successor, (states, symbols) = automaton.successor, automaton.successor.shape
    lengths = np.zeros(states, np.int64)
    lengths[:symbols] = 1
    found = np.arange(symbols)
    while found.size:
        after = successor[found, 1:]
        longer = np.broadcast_to(np.minimum(lengths[found] + 1, automaton.order - 1)[:, None], after.shape)
        new = lengths[after] == 0
        lengths[after[new]] = longer[new]
        found = np.unique(after[new])
    return lengths
