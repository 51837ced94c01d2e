from __future__ import annotations

import numpy as np
import pytest
import torch

from namegen.sampling.philox import philox4x32

# Random123's kat_vectors: counter, key, output of philox4x32 with 10 rounds
VECTORS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("vector", VECTORS)
def test_known_answers(vector: tuple[str, str, str]) -> None:
    """The three vectors that Random123 publishes, by numpy and by torch."""
    counter, key, answer = map(words, vector)
    c0, c1, c2, c3 = np.array(counter)[:, None]
    assert [int(w[0]) for w in philox4x32((c0, c1, c2, c3), (key[0], key[1]))] == answer
    t0, t1, t2, t3 = torch.tensor(counter)[:, None]
    assert [int(w) for w in philox4x32((t0, t1, t2, t3), (key[0], key[1]))] == answer


def test_a_word_depends_on_its_own_counter_only() -> None:
    """A block computed alone is the block computed among others."""
    index = torch.arange(1000)
    zero = torch.zeros(1, dtype=torch.int64)
    together = philox4x32((index, zero, zero, zero), (1, 2))
    alone = philox4x32((index[777:778], zero, zero, zero), (1, 2))
    assert [int(w[777]) for w in together] == [int(w) for w in alone]
