from __future__ import annotations

import pytest

from namegen.errors import SettingError
from namegen.training.recipe import COUNTING, PRESETS, choose


def test_each_preset_does_more_than_the_one_before() -> None:
    """More states, more passes, wider; their order is quick, default, best."""
    assert list(PRESETS) == ["quick", "default", "best"]
    work = [(p.states, p.network.all_passes, p.network.hidden, p.order) for p in PRESETS.values()]
    assert work == sorted(work)


@pytest.mark.parametrize("model", ["blend", "mlp"])
def test_what_is_asked_for_takes_the_place_of_the_presets(model: str) -> None:
    best = PRESETS["best"]
    assert choose(model, "best", None, None, 12) == best
    chosen = choose(model, "best", 5, 0, 12)
    assert (chosen.order, chosen.states, chosen.network) == (5, 0, best.network)


def test_a_preset_changes_no_counting_model() -> None:
    assert {choose("kneser-ney", preset, None, states, 12) for preset in PRESETS for states in (None, 7)} == {COUNTING}
    assert COUNTING.network.all_passes == 0


def test_an_order_that_no_n_gram_has() -> None:
    """The longest n-gram is the longest name with both boundaries; a preset's order is lowered to it."""
    assert choose("blend", "default", None, None, 2).order == 4
    assert choose("kneser-ney", "default", 10, None, 8).order == 10
    with pytest.raises(SettingError, match=r"order 11 is too high: the longest name has 8 .* --order 10 or less"):
        choose("kneser-ney", "default", 11, None, 8)
