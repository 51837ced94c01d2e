"""Random small corpora over random alphabets, and random tables, for the property tests."""

from __future__ import annotations

import unicodedata

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

# Letters of several scripts, of one to four bytes in UTF-8; none of them changes under NFC.
LETTERS = "abcdefghijzÀéßñøœŁżαωλЖяשمあ漢한\U00010400\U0001f600' -"  # noqa: RUF001 - some look alike
assert unicodedata.normalize("NFC", LETTERS) == LETTERS


def names(min_size: int = 1, max_size: int = 30, letters: str = LETTERS) -> st.SearchStrategy[list[str]]:
    """Lists of names over an alphabet of 1 to 8 letters, duplicates among them."""

    def over(alphabet: set[str]) -> st.SearchStrategy[list[str]]:
        visible = min(alphabet - {" "})
        name = st.text(sorted(alphabet), min_size=1, max_size=9).map(lambda text: text.strip() or visible)
        return st.lists(name, min_size=min_size, max_size=max_size)

    alphabets = st.sets(st.sampled_from(letters), min_size=1, max_size=8).map(lambda letters: letters - {" "} or {"a"})
    return st.tuples(alphabets, st.sampled_from(["", "", " "])).map(lambda pair: {*pair[0], *pair[1]}).flatmap(over)


@st.composite
def tables(draw: st.DrawFn, rows: int, symbols: int) -> NDArray[np.float64]:
    """Tables of distributions, float64[rows, symbols]: smooth, spiky, and with zeros; the boundary is never 0."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    spikes = draw(st.sampled_from([0.0, 1.0, 8.0, 40.0]))
    table = np.exp(-spikes * generator.exponential(size=(rows, symbols)))
    table[generator.random((rows, symbols)) < draw(st.sampled_from([0.0, 0.5, 0.95]))] = 0
    table[:, 0] = np.maximum(table[:, 0], draw(st.sampled_from([1e-300, 1e-12, 0.1, 1.0])))
    for _ in range(2):  # twice: what the first leaves of an error, the second takes
        table /= table.sum(axis=1, keepdims=True)
    return table
