"""Why a name has its probability: for each symbol the context, how much of it is known, and the alternatives.

Unlike `walk`, which scores a million names at once, this follows one name and keeps what it saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from namegen.automaton.automaton import TOTAL, Automaton
from namegen.characters import characters_of
from namegen.errors import SettingError

if TYPE_CHECKING:
    import polars as pl


def explain(automaton: Automaton, name: str, alternatives: int) -> pl.DataFrame:
    """A row for each symbol of a name and one for its end; see `Model.explain`."""
    import polars as pl  # slow to import

    if alternatives < 0:
        raise SettingError(f"the number of alternatives cannot be negative: {alternatives}")
    vocabulary, symbols, state, rows = automaton.vocabulary, automaton.vocabulary.symbols, 0, []
    characters = characters_of(name)
    before = [symbols[0]]  # the text of each symbol: that of a code is with its tail
    for step, symbol in enumerate([*characters, symbols[0]], 1):
        codes = [0] if step > len(characters) else vocabulary.encode([symbol])[0].tolist()
        weights, log_probabilities = automaton.weights[state], automaton.log_probabilities[state]
        if step > automaton.cap:  # the end is certain
            is_end = np.arange(len(vocabulary)) == 0
            weights, log_probabilities = TOTAL * is_end, np.where(is_end, 0.0, -np.inf)
        number = codes[0]
        weight = 0 if number < 0 else int(weights[number])
        log_prob = float(log_probabilities[number])
        probability = weight / TOTAL
        by_weight = np.argsort(-weights[: vocabulary.first_lead], kind="stable")
        likely = [v for v in by_weight if weights[v] and v != number][:alternatives]
        after = int(automaton.successor[state, number])
        for code in codes[1:]:
            probability *= automaton.weights[after, code] / TOTAL
            log_prob += float(automaton.log_probabilities[after, code])
            weight = min(weight, int(automaton.weights[after, code]))
            after = int(automaton.successor[after, code])
        rows.append(
            (
                step,
                "".join(before[-(automaton.order - 1) :]),
                "".join(before[len(before) - int(automaton.context_lengths[state]) :]),
                symbol.encode("utf-8", "backslashreplace").decode(),  # half a surrogate pair is not text
                probability,
                log_prob if weight else -np.inf,
                [{"symbol": symbols[v], "probability": float(weights[v] / TOTAL)} for v in likely],
            )
        )
        if not weight:
            break
        before, state = [*before, *[""] * (len(codes) - 1), symbol], after
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
