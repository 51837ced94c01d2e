from __future__ import annotations

from dataclasses import replace

import pytest

from namegen.corpus.corpus import Corpus, corpus_of
from namegen.errors import SettingError
from namegen.models.mlp import Settings
from namegen.training.recipe import PRESETS, Recipe, choose, of_configuration

TWELVE = corpus_of(["abcdefghijkl"])  # one name of 12 letters


def test_each_preset_does_more_than_the_one_before() -> None:
    """More states, more passes, wider; their order is quick, default, best."""
    assert PRESETS == ("quick", "default", "best")
    recipes = [choose(TWELVE, "blend", preset, 0.2) for preset in PRESETS]
    work = [(r.states, r.network.all_passes, r.network.hidden, r.order) for r in recipes]
    assert work == sorted(work)
    assert len(set(work)) == 3


@pytest.mark.parametrize("model", ["blend", "mlp"])
def test_what_is_asked_for_takes_the_place_of_the_presets(model: str) -> None:
    best = choose(TWELVE, model, "best", 0.2)
    assert best == Recipe(
        model, 7, 600_000, Settings(hidden=512, passes=30, learning_rate=4e-3, dropout=0.2, networks=4), 0.2
    )
    assert choose(TWELVE, model, "best", 0.1, order=5, states=0) == replace(best, order=5, states=0, holdout=0.1)


def test_a_preset_changes_no_counting_model() -> None:
    recipes = {choose(TWELVE, "kneser-ney", preset, 0.2, states=states) for preset in PRESETS for states in (None, 7)}
    assert recipes == {Recipe("kneser-ney", 6, 0, Settings(passes=0), 0.2)}


def test_an_order_that_no_n_gram_has() -> None:
    """The longest n-gram is the longest name with both boundaries; a preset's order is lowered to it."""
    assert choose(corpus_of(["ab"]), "blend", "default", 0.2).order == 4
    eight = corpus_of(["abcdefgh"])
    assert choose(eight, "kneser-ney", "default", 0.2, order=10).order == 10
    with pytest.raises(SettingError, match=r"order 11 is too high: the longest name has 8 .* --order 10 or less"):
        choose(eight, "kneser-ney", "default", 0.2, order=11)


@pytest.mark.parametrize("model", ["kneser-ney", "blend"])
def test_a_configuration_says_how_its_model_is_made(names: Corpus, model: str) -> None:
    """A recipe comes back from its configuration; one of another version is refused."""
    recipe = choose(names, model, "quick", 0, order=5)
    configuration = recipe.configuration(names.sha256)
    assert of_configuration(configuration) == recipe
    for changed in ({**configuration, "models_version": 0}, {**configuration, "more": 1}, {"model": model}):
        with pytest.raises(SettingError, match="does not make models of this configuration"):
            of_configuration(changed)


def test_one_setting_has_one_configuration() -> None:
    """0, 0.0 and -0.0 are the same holdout."""
    recipes = [choose(TWELVE, "bigram", "default", holdout) for holdout in (0, 0.0, -0.0)]
    assert len({str(recipe.configuration("")) for recipe in recipes}) == 1
