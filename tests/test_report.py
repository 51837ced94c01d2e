"""The pages with pictures: what is on them, and whether a browser shows it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from prefect.artifacts import Artifact

import namegen
import tiny
from conftest import on_disk
from namegen.commands.main import main
from namegen.outputs.layout import PAGE, report_folder
from namegen.outputs.model_folder import Contents, ModelManifest
from namegen.pipeline import Made
from namegen.report import pictures
from namegen.report.folder import PICTURES
from namegen.report.pages import Section, _Content, _escaped, _model_sections, _write, growth, write_report
from namegen.report.pictures import nll_of_models
from namegen.report.text import FITTED_ONLY
from namegen.upkeep.prune import find_old, remove

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
]
DARK = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]


@pytest.fixture(scope="module")
def pages(made: Made) -> dict[str, Path]:
    """The pages that the flow has written."""
    return {"model": on_disk(report_folder(made.model.path)), "names": on_disk(report_folder(made.names))}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]  # noqa: S314 - our own


def test_the_flow_writes_both(made: Made, pages: dict[str, Path]) -> None:
    """Each in a folder of its own with its pictures; self-contained, and well under 2 MB."""
    output = on_disk(made.model.path).parents[1]
    assert pages["model"] == output / "reports" / f"model={made.model.path.name}"
    assert pages["names"] == pages["model"] / "seed-42"
    found = {file.name for place in pages.values() for file in place.iterdir() if file.is_file()}
    assert found == {PAGE, *PICTURES}
    for place in pages.values():
        page = (place / PAGE).read_text()
        assert len(page) < 2e6
        assert page.count("<svg") == len(list(place.glob("*.svg")))
        # nothing is fetched: what looks like an address is a name of XML's
        assert set(re.findall(r"https?://[^\"' ]+", page)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert not re.search(r"<script|<link(?! rel=\"icon\" href=\"data:,\")|@import|url\((?!#|data:)", page)
        for section in re.findall(r"<section>(.*?)</section>", page, re.DOTALL):
            assert re.search(r"<h2>[^<]+</h2>\s*<p>[^<]{20,}</p>", section)


def test_the_pictures_hold_the_figures(made: Made, pages: dict[str, Path]) -> None:
    """The notebook's picture has every pair and its count; the tables have the figures of the evaluation."""
    bigrams = made.model.table("bigrams")
    drawn = texts((pages["model"] / "bigrams.svg").read_text())
    assert drawn[0::2] == (bigrams["first"] + bigrams["second"]).to_list()
    assert drawn[1::2] == bigrams["count"].cast(pl.String).to_list()
    page = (pages["model"] / PAGE).read_text()
    evaluation = made.model.table("evaluation").filter(source="automaton", subset="all", split="test")
    for nll, error in evaluation.select("nll", "standard_error").rows():
        assert f"<td>{nll:.4f} ± {error:.4f}</td>" in page
    for names in made.model.table("quality")["examples"]:
        assert " ".join(f"<bdi>{name}</bdi>" for name in names) in page  # each in its own direction
    rows = pl.read_parquet(on_disk(made.names) / "part-000000.parquet")
    page = (pages["names"] / PAGE).read_text()
    for name, log_prob in (
        rows.top_k(1, by="log_prob").vstack(rows.bottom_k(1, by="log_prob"))["name", "log_prob"].rows()
    ):
        assert f"<tr><td>{name}</td><td>{log_prob:.3f}</td></tr>" in page


def test_the_short_version(made: Made) -> None:
    """It stands in Prefect's interface, and says where the page is."""
    artifact = cast("Artifact | None", Artifact.get("report"))
    assert artifact
    assert artifact.type == "markdown"
    assert str(report_folder(made.names) / PAGE) in str(artifact.data)


def test_the_same_page_again(pages: dict[str, Path], made: Made, tmp_path: Path) -> None:
    """Byte for byte, wherever it is written."""
    for folder, place in ((made.model.path, pages["model"]), (made.names, pages["names"])):
        page, text = write_report(folder, tmp_path / place.name)
        assert text.count("**") // 2 == on_disk(page).read_text().count("<section>")
        assert {file.name: file.read_bytes() for file in (tmp_path / place.name).iterdir()} == {
            file.name: file.read_bytes() for file in place.iterdir() if file.is_file()
        }
        assert page == tmp_path / place.name / PAGE


def test_growth() -> None:
    """Shares of the first 2, 5, 7 names of 7, counted by hand."""
    rows = pl.DataFrame({"name": list("ababcaa"), "is_novel": [True, False, True, False, True, True, True]})
    assert growth(rows).rows() == [(2, 1 / 2, 1.0), (5, 3 / 5, 3 / 5), (7, 5 / 7, 3 / 7)]


@pytest.mark.parametrize("symbols", [2, 27, 41, 120])
def test_any_alphabet(symbols: int) -> None:
    """Other scripts, signs that XML or TeX would take for their own, and more than a page has room for."""
    codes = [36, 38, 60, 92, 95, 0x200F, *range(0x3040, 0x3040 + 250)]
    letters = [".", *map(chr, codes[: symbols - 1])]
    pairs = [(a, b) for a in letters for b in letters]
    counts = np.arange(symbols**2)
    table = np.full(symbols**2, 1 / symbols)
    frame = pl.DataFrame(pairs, ["first", "second"], orient="row").with_columns(
        count=counts, probability=table, neural_probability=table[::-1]
    )
    svg = pictures.bigram_counts(frame)
    assert len(texts(svg)) == (2 * symbols**2 if symbols <= pictures.MOST_CELLS_WITH_TEXT else 2 * symbols)
    names = pl.Series(["".join(letters[1:9]), letters[1], ""])
    drawings = [
        pictures.one_hot(names[0], "".join(letters)),
        pictures.counted_and_learnt(frame),
        pictures.corpus_and_samples(names, names.reverse()),
    ]
    for drawing in [svg, *drawings]:
        ET.fromstring(drawing)  # noqa: S314 - our own
        assert len(drawing) < 1.2e6


def test_names_that_look_like_markup(tmp_path: Path) -> None:
    """They are shown as they stand, in Markdown as in HTML."""
    page, text = _write(_Content("<b>", {}, [Section("*i*", "<u>")]), tmp_path, "")
    assert text.startswith("# \\<b\\>\n\n**\\*i\\*.** \\<u\\>")
    assert "<h1>&lt;b&gt;</h1>" in on_disk(page).read_text()
    escaped = _escaped("<script>*a*_b_`c`[d](e)|#f~g&amp;\\")
    assert escaped == "\\<script\\>\\*a\\*\\_b\\_\\`c\\`\\[d\\](e)\\|\\#f\\~g\\&amp;\\\\"


def test_lengths_that_no_name_has() -> None:
    """They have their place on the axis."""
    axes = Figure().add_subplot()
    pictures._shares(axes, "length", pl.Series([1, 1, 10]), pl.Series([1, 10]))
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx([0.79, 9.79, 1.21, 10.21])
    assert [bar.get_height() for bar in bars] == pytest.approx([2 / 3, 1 / 3, 1 / 2, 1 / 2])


def test_no_names_were_held_out() -> None:
    """Then the page says that its figures are those of the training names, and speaks of no others."""
    for holdout in (0, 0.2):
        model = namegen.fit(tiny.corpus().names, model="kneser-ney", holdout=holdout)
        assert isinstance(model.source, Contents)
        manifest = cast("ModelManifest", SimpleNamespace(configuration={}))
        sections = {s.title: s for s in _model_sections(manifest, model.source.tables, "emma")}
        told = sections["Training"].sentence + sections["How well each model predicts names"].sentence
        assert (FITTED_ONLY in told, "dev" in told, "unseen" in told) == (holdout == 0, holdout > 0, holdout > 0)
        labels = {"seen", "all", "unseen"} & set(texts(nll_of_models(model.evaluation, published=False)))
        assert labels == ({"all", "unseen"} if holdout else {"all"})


def test_published_figures() -> None:
    """They are lines on dev, for the list that they were measured on and no other."""
    row = {"model": "m", "source": "automaton", "subset": "all", "names": 9, "nll": 1.9, "standard_error": float("nan")}
    evaluation = pl.DataFrame([{**row, "split": split} for split in ("dev", "test")])
    with_lines, without = (pictures.nll_of_models(evaluation, published=published) for published in (True, False))
    assert [line for line in texts(with_lines) if "1.9937" in line] == ["WaveNet of the lecture series, 1.9937"]
    assert not [line for line in texts(without) if "1.9937" in line]


def test_a_page_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a small list and of a part only; `namegen report` says where; nothing is at fault; prune takes it along."""
    output = tmp_path / "o"
    tiny.job(output)
    (names,) = (output / "names").glob("*/*")
    for folder in (tiny.place(output).path, names):
        assert main(["report", str(folder)]) == 0
        assert capsys.readouterr().out == f"{report_folder(folder)}/{PAGE}\n"
    (model,) = (output / "models").iterdir()
    on_disk(report_folder(names) / "notes.txt").write_text("mine")
    assert main(["verify", str(output), "--quiet"]) == 0
    list(remove(output, find_old(output, 0)))
    assert not model.exists()
    assert [file.name for file in (output / "reports").rglob("*") if file.is_file()] == ["notes.txt"]


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
@pytest.mark.parametrize(("page", "options"), [("model", []), ("names", DARK)])
@pytest.mark.parametrize("width", [1200, 390])
def test_in_a_browser(pages: dict[str, Path], tmp_path: Path, page: str, options: list[str], width: int) -> None:
    """Light or dark, wide or on a phone: no error on the console, and a screenshot that is not blank."""
    shot = tmp_path / "shot.png"
    command = [
        str(CHROMIUM),
        *QUIET,
        *options,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1500",
    ]
    command += [f"--screenshot={shot}", (pages[page] / PAGE).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    pixels = (imread(shot)[..., :3] * 255).round()
    assert pixels.shape[:2] == (1500, width)
    ground = pixels[2, 2]
    assert ground.max() < 60 if options else ground.min() > 240
    painted = (np.abs(pixels - ground).max(axis=2) > 60).mean(axis=1)
    assert 0.01 < painted.mean() < 0.5
    blue = (pixels[..., 2] - pixels[..., 0] > 60).mean()
    assert blue > 0.003
