from __future__ import annotations

from dataclasses import replace

import pytest

from namegen.corpus.corpus import Corpus, corpus_of
from namegen.errors import SettingError
from namegen.training.recipe import FAMILIES, HOLDOUT, MANY, PRESETS, choose, of_configuration

LETTERS = str.maketrans("0123456789", "abcdefghij")
TWELVE = corpus_of([f"{i:012}".translate(LETTERS) for i in range(MANY)])  # names of 12 letters


def test_each_preset_does_more_than_the_one_before() -> None:
    """More cells, more histories, larger networks; their order is quick, default, best."""
    assert PRESETS == ("quick", "default", "best")
    recipes = [choose(TWELVE, "blend", preset, 0.2) for preset in PRESETS]
    work = [(r.cells, r.histories, max(settings.passes for settings in r.networks)) for r in recipes]
    assert work == sorted(work)
    assert len(set(work)) == 3


def test_what_is_asked_for_takes_the_place_of_the_presets() -> None:
    best = choose(TWELVE, "blend", "best", 0.2)
    assert [settings.family for settings in best.networks] == ["mlp", "gru", "transformer"]
    assert choose(TWELVE, "blend", "best", 0.1, order=5, cells=10**5) == replace(
        best, order=5, cells=10**5, holdout=0.1
    )


@pytest.mark.parametrize("model", ["mlp", "gru", "transformer"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_alone(model: str, preset: str) -> None:
    """Of the family that is asked for, with its preset's settings."""
    (settings,) = choose(TWELVE, model, preset, 0.2).networks
    assert settings.family == model
    assert type(settings) is FAMILIES[model]


def test_a_preset_changes_no_counting_model() -> None:
    recipes = {choose(TWELVE, "kneser-ney", preset, 0.2) for preset in PRESETS}
    assert len(recipes) == 1
    assert not recipes.pop().networks


def test_a_long_list_takes_fewer_passes() -> None:
    """As many as keep to a number of symbols, and at least two."""
    short, long, longer = (
        corpus_of([f"{i:07}".translate(LETTERS) for i in range(count)]) for count in (1000, 60_000, 400_000)
    )
    passes = [choose(corpus, "mlp", "quick", 0.2).networks[0].passes for corpus in (short, long, longer)]
    assert passes == [8, 3_000_000 // 480_000, 2]


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


def test_few_names() -> None:
    """A blend of them has no networks, and nothing is held out unless that is asked for."""
    few = corpus_of(TWELVE.names[1:])
    recipe = choose(few, "blend", "best", None)
    assert (recipe.few, recipe.networks, recipe.holdout) == (True, (), 0)
    assert choose(few, "blend", "quick", 0.2, background="ab") == replace(recipe, holdout=0.2, background="ab")
    assert choose(corpus_of([*few.names, *few.names]), "blend", "best", None).few
    for more in (choose(TWELVE, "blend", "best", None), choose(few, "mlp", "best", None)):
        assert (more.few, more.holdout) == (False, HOLDOUT)
        assert more.networks
    configuration = recipe.configuration(few.sha256)
    assert of_configuration(configuration) == recipe
