"""Short lists: letters without case, a background, and settings by cross-validation."""

from __future__ import annotations

import itertools
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import namegen
from conftest import NAMES
from namegen import pipeline
from namegen.corpus.background import LEAST, own_names, shares_letters, without_listed
from namegen.corpus.corpus import corpus_of
from namegen.corpus.ngrams import count_ngrams
from namegen.corpus.pairs import UNUSUAL, usual_pairs
from namegen.errors import SettingError
from namegen.models import caseless, kneser_ney
from namegen.models.predictor import Predictor
from namegen.outputs.model_folder import ModelFolder
from namegen.parameters import Parameters
from namegen.report import text
from namegen.training import few, recipe
from namegen.training import pool as few_pool
from namegen.training.compile import compile_model, walk_merging, walk_through
from namegen.training.evaluate import nll
from namegen.training.exact import log_prob
from namegen.training.fit import fit_models
from namegen.training.pool import Blend
from namegen.training.quantise import quantise
from namegen.training.recipe import Recipe
from namegen.upkeep.verify import verify
from namegen.vocabulary import Vocabulary

TOWNS = """Abingdon Accrington Acle Acton Adlington Alcester Aldeburgh Aldershot Alford Alfreton Alnwick Alsager Alston
Alton Altrincham Amble Ambleside Amersham Amesbury Ampthill Andover Appleby Arlesey Arundel Ashbourne Ashburton Ashby
Ashford Ashington Ashton Askern Aspatria Atherstone Attleborough Axbridge Axminster Aylesbury Aylsham Bacup Bakewell
Banbury Banstead Barking Barnet Barnoldswick Barnsley Barnstaple Barrow Barton Basildon""".split()  # noqa: SIM905 - a list of fifty would take as many lines
ENDINGS = """
mouth ton ham bury ford ley field stoke wick thorpe combe minster port bridge church hill dale well don cester
stead worth"""


@pytest.fixture(scope="module")
def towns() -> namegen.Model:
    return namegen.fit(TOWNS)


def after(model: Predictor, history: list[int]) -> NDArray[np.float64]:
    state = model.start()
    for symbol in history:
        state = model.after(state, np.array([symbol]))
    return model.predict(state).ravel()


def test_letters_and_case_are_apart() -> None:
    """By hand: of the letters' distribution each symbol has its case's share, after symbols of that kind."""
    names = ["Ab", "Ba", "Ab a", "bA"]
    vocabulary = Vocabulary.of(names)
    letters = caseless.count_letters(names, vocabulary, 3)
    assert letters
    model = caseless.fit(letters, names, vocabulary)
    assert letters.counts.vocabulary.symbols == ". ab"
    assert vocabulary.symbols == ". ABab"
    # after the start three capitals and one lower case; after lower case one capital of two letters, the rest ends
    case = {"start": (3.05 / 4.1, 1.05 / 4.1), "lower": (1.05 / 4.1, 3.05 / 4.1), "space": (0.05 / 1.1, 1.05 / 1.1)}
    case["lower"] = (1.05 / 1.1, 0.05 / 1.1)
    case["upper"] = (0.05 / 3.1, 3.05 / 3.1)
    for history, place in (([], "start"), ([4], "lower"), ([4, 1], "space"), ([2], "upper"), ([2, 5], "lower")):
        folded = [[0, 1, 2, 3, 2, 3][symbol] for symbol in history]
        end, space, a, b = after(letters, folded)
        upper, lower = case[place]
        expected = np.array([end, space, a * upper, b * upper, a * lower, b * lower])
        assert after(model, history) == pytest.approx(expected / expected.sum())
        again = caseless.fit(letters, names, vocabulary, restarts=True)
        if place == "space":
            end, space, a, b = after(letters, [])
            expected = np.array([end, space, a * upper, b * upper, a * lower, b * lower])
        assert after(again, history) == pytest.approx(expected / expected.sum())


def test_what_has_no_case() -> None:
    """Han has none, and a list in lower case needs nobody who knows none."""
    assert caseless.has_both_cases(Vocabulary.of(["aB"]))
    assert not caseless.has_both_cases(Vocabulary.of(["ab", "漢字", "3"]))
    assert not caseless.has_both_cases(Vocabulary.of(["AB", "C3"]))
    assert list(few.members_without_case(["Ab", "Ba"], Vocabulary.of(["Ab", "Ba"]), None)) == ["without case"]
    assert not few.members_without_case(["ab", "ba"], Vocabulary.of(["ab", "ba"]), None)


def test_a_background_with_too_many_characters() -> None:
    vocabulary = Vocabulary.of(["ab"])
    assert few.letters_of(["".join(map(chr, range(0x4E00, 0x4E00 + 250)))], vocabulary)
    assert few.letters_of(["".join(map(chr, range(0x4E00, 0x4E00 + 255)))], vocabulary) is None
    assert few.letters_of((), vocabulary) is None


def test_no_listed_name_is_in_the_background() -> None:
    """Whatever its case and its form; where few remain there is none."""
    others = [f"name{i}".translate(str.maketrans("0123456789", "abcdefghij")) for i in range(LEAST)]
    corpus = corpus_of(["EMMA", "Zoë", "Strauß"])
    found = without_listed(["emma", "zoe\u0308", "STRAUSS", "Emmas", *others[1:]], corpus, "others")
    assert found
    assert found.names == ("Emmas", *others[1:])
    assert without_listed(["emma", *others[1:]], corpus, "others") is None
    assert found.sha256 != without_listed(others, corpus, "others").sha256  # type: ignore[union-attr] # there is one


def test_the_projects_own_list_is_for_lists_of_its_letters() -> None:
    assert list(own_names()) == NAMES.read_text().split()
    assert shares_letters(corpus_of(["Ælfwine", "O'Neill"]), own_names())
    assert not shares_letters(corpus_of(["漢字", "Ωmega a"]), ["a"])


def test_what_is_unusual() -> None:
    """Beginnings of a kind, and capitals behind a kind, that no name has; other pairs are not."""
    vocabulary = Vocabulary.of(["Ab", "A-b", "B1"])
    usual = usual_pairs(["Ab", "A-b", "B1"], vocabulary, None)
    ids = {symbol: i for i, symbol in enumerate(vocabulary.symbols)}
    unusual = {(a, b) for a, i in ids.items() for b, j in ids.items() if usual[i, j] == UNUSUAL}
    assert usual.max() == 1
    assert unusual == {(".", "b"), (".", "1"), (".", "-"), (".", ".")} | {(a, b) for a in "AB1-b" for b in "AB"}


def counted(names: list[str], order: int) -> tuple[Vocabulary, Blend]:
    vocabulary = Vocabulary.of(names)
    return vocabulary, Blend.alone(kneser_ney.fit(count_ngrams(names, vocabulary, order)))


def test_histories_that_a_model_cannot_tell_apart_are_one() -> None:
    """Their masses add up to those of all histories of that length; and there are no more than the model knows."""
    vocabulary, model = counted(["ab", "ba", "aab", "bb"], 3)
    merged = walk_merging(model, 10**6, 6)
    walked = walk_through(model, 3, 0.0, 10**4, 6)
    assert walked
    for length in range(7):
        masses = [each.mass[each.level == length].sum() for each in (merged, walked)]
        assert masses[0] == pytest.approx(masses[1])
    assert len(merged.mass) < 7 * 9 < len(walked.mass)
    mean = [(each.mass[:, None] * each.distribution).sum(axis=0) for each in (merged, walked)]
    assert mean[0] == pytest.approx(mean[1])
    table = compile_model(model, vocabulary, 10**4, 10**5, cap=8, window=2, merging=True)
    automaton = quantise(table.probabilities, table)
    names = ["".join(letters) for n in range(1, 9) for letters in itertools.product("ab", repeat=n)]
    assert np.exp(automaton.log_prob(names)) == pytest.approx(np.exp(log_prob(model, vocabulary, names)), abs=1e-9)


def test_with_little_room_the_likeliest_histories_are_kept() -> None:
    _, model = counted([*TOWNS], 4)
    few_histories = walk_merging(model, 200, 64)
    assert len(few_histories.mass) <= 200
    all_histories = walk_merging(model, 10**6, 64)
    likely = np.sort(all_histories.mass[all_histories.level == 1])[::-1]
    assert np.sort(few_histories.mass[few_histories.level == 1])[::-1] == pytest.approx(likely[: 200 // 20])


def test_each_name_is_predicted_by_the_others() -> None:
    """The figure is worse than that of the names themselves, is the same twice, and has each different name once."""
    names = [*TOWNS, *TOWNS[:10]]
    vocabulary = Vocabulary.of(names)
    counts = count_ngrams(names, vocabulary, 6)
    letters = few.letters_of(own_names()[:3000], vocabulary)
    others = [*few.members_without_case(names, vocabulary, letters).values()]
    found, again = (few.fit(names, counts, others, letters, None) for _ in range(2))
    assert sorted(found.names) == sorted(TOWNS)
    assert found.log_prob.tolist() == again.log_prob.tolist()
    assert found.blend.weights.tolist() == again.blend.weights.tolist()
    assert found.order == again.order
    left_out, fitted = nll(found.names, found.log_prob)[1], nll(names, log_prob(found.blend, vocabulary, names))[1]
    alone = few.fit(names, counts, others[:1], None, None)
    assert fitted + 0.3 < left_out < nll(alone.names, alone.log_prob)[1]


@pytest.mark.parametrize("names", [["Ava"], ["Ava", "Bo"], ["a", "bb", "ab"], ["漢字", "字漢"]])
def test_hardly_any_names(names: list[str]) -> None:
    """Whatever there is, a model comes of it; the figure is there from two names on."""
    fitted = namegen.fit(names)
    drawn = fitted.sample(1000)
    assert math.isfinite(drawn["log_prob"].sum())
    assert fitted.score(drawn["name"].to_list()) == drawn["log_prob"].to_list()
    assert fitted.evaluation.filter(split="folds")["names"].to_list() == ([len(names)] if len(names) > 1 else [])


def test_fifty_names(towns: namegen.Model) -> None:
    """The drawn names begin with a capital and have none inside, and few are longer than all that are listed."""
    drawn = towns.sample(20_000, into="list")
    assert sum(not name[0].isupper() for name in drawn) <= 100
    assert sum(name[1:] != name[1:].lower() for name in drawn) <= 100
    assert sum(len(name) == 1 for name in drawn) <= 100
    assert sum(len(name) > max(map(len, TOWNS)) + 2 for name in drawn) <= 200
    assert len(set(drawn)) > 10_000
    row = towns.evaluation.filter(split="folds").row(0, named=True)
    assert (row["model"], row["source"], row["names"]) == ("blend", "exact", 50)
    assert 1.7 < row["nll"] < 2.1
    told = text.evaluation_text(towns.evaluation)
    assert f"{row['nll']:.4f} ± {row['standard_error']:.4f}" in told
    assert text.LEFT_OUT in told
    listed = set(TOWNS)
    novel = towns.where(novel=True).sample(100, into="list")
    assert not listed & set(novel)


def test_a_background_of_ones_own(
    towns: namegen.Model, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list, its file and a model's folder are one background; without one the names are predicted worse."""
    caplog.set_level(logging.INFO, "namegen")
    monkeypatch.setattr(recipe, "FEW_HISTORIES", 10**6)
    others = [first + ending for first in ("Bex", "Cam", "Dor", "Ply", "Wey", "Yar") for ending in ENDINGS.split()]
    path = tmp_path / "others.txt"
    path.write_text("\n".join(others))
    folder = tmp_path / "model"
    namegen.fit(others, model="bigram", holdout=0).save(folder)
    fitted = [namegen.fit(TOWNS, background=background) for background in (others, path, str(folder))]
    assert len({model.automaton.sha256 for model in fitted}) == 1
    assert "of background" in caplog.text
    assert "50 names are few" in caplog.text
    without = namegen.fit(TOWNS, background="none")
    figures = [model.evaluation.filter(split="folds")["nll"].item() for model in (fitted[0], towns, without)]
    assert max(figures[:2]) < figures[2] - 0.1
    namegen.fit(TOWNS, background=TOWNS)
    assert "No background: hardly any names" in caplog.text


def test_only_a_blend_has_a_background() -> None:
    with pytest.raises(SettingError, match="kneser-ney has no background"):
        namegen.fit(TOWNS, model="kneser-ney", background=TOWNS)
    with pytest.raises(namegen.NamegenError, match="no such file"):
        namegen.fit(TOWNS, background="nowhere.txt")


def test_a_long_list_with_capitals() -> None:
    """Its blend has the member without case, too, and a background if there is one; dev weighs them."""
    vocabulary = Vocabulary.of(TOWNS)
    recipes = Recipe("blend", 4, 30_000, 300_000, (), 0.2)
    fitted = fit_models(TOWNS[:40], count_ngrams(TOWNS[:40], vocabulary, 4), TOWNS[40:], recipes, "cpu",
                        background=own_names()[:2000])  # fmt: skip
    blend = fitted.others["blend"]
    assert isinstance(blend, Blend)
    assert [type(member).__name__ for member in blend.members] == ["KneserNey", "Caseless", "Caseless"]
    assert fitted.by_others is None
    usual = few_pool.weigh(few_pool.ask(blend.members, vocabulary, ()), 6)[0]
    assert np.abs(blend.weights - usual).max() > 0.01
    alone = log_prob(Blend.alone(blend.members[0]), vocabulary, TOWNS[40:]).sum()
    assert log_prob(blend, vocabulary, TOWNS[40:]).sum() > alone


def test_a_job_of_few_names_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The background is part of the model's identity, and a repair finds it; without it nothing is made."""
    monkeypatch.setattr(recipe, "FEW_HISTORIES", 10**6)
    monkeypatch.chdir(tmp_path)
    names, others = tmp_path / "names.txt", tmp_path / "others.txt"
    names.write_text("\n".join(TOWNS))
    others.write_text("\n".join(own_names()[:300]))
    made = {}
    for background in ("none", others.name):
        p = Parameters(names=str(names), count=100, output=str(tmp_path / "out"), background=background)
        made[background] = pipeline.make(pipeline.plan(p)).model.path
    assert len(set(made.values())) == 2
    folder = ModelFolder(made[others.name])
    manifest = folder.manifest()
    assert manifest.configuration["few"]
    assert manifest.written.origin["background"] == str(others)
    (made[others.name] / "automaton.safetensors").unlink()
    monkeypatch.chdir("/")
    verify(tmp_path / "out", repair=True)
    assert folder.manifest().automaton_sha256 == manifest.automaton_sha256
    assert not verify(tmp_path / "out")
    (made[others.name] / "automaton.safetensors").unlink()
    others.write_text("\n".join(own_names()[:400]))
    (problem, *_) = verify(tmp_path / "out", repair=True)
    assert "the background is not what it was" in problem


def test_a_holdout_by_hand_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "FEW_HISTORIES", 10**6)
    fitted = namegen.fit(TOWNS, holdout=0.2, background="none")
    splits = fitted.evaluation.filter(subset="all", model="blend", source="automaton").select("split", "names").rows()
    assert splits == [("train", 40), ("dev", 5), ("test", 5)]
    assert fitted.evaluation.filter(split="folds")["names"].item() == 40
