"""A page about a model or a data set: what was learnt, and what was made, in pictures with a sentence each.

Pages contain nothing that the folders do not. They can be made again at any time, and are the same bytes for the same
folder. Of a large data set they show the first rows only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import polars as pl
from jinja2 import Environment, PackageLoader

from namegen.characters import lengths
from namegen.errors import ArtifactError, printable
from namegen.model import model_of, resolve_model
from namegen.outputs import about
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.layout import PAGE, part_name, report_folder
from namegen.outputs.manifests import open_manifest, remedy_for
from namegen.outputs.model_folder import ModelFolder, ModelManifest
from namegen.outputs.wish import ASKED
from namegen.report import pictures, text
from namegen.report.folder import stamp_of
from namegen.storage.files import Anywhere, Location, location, make_folder, read_checked, write_atomically

SAMPLED = 2**18  # how many rows of a data set are shown: its first
SHOWN = 15  # names at either end
EXAMPLES = 20
ALIKE = 0.02  # mean difference in probability below which two tables look alike
# SHA-256 of the names of makemore's list, for which a figure was published
MAKEMORE = "816d2a728695db28a20e17eae61c9c423091a511b3df09a06a489dccbf0876c7"


@dataclass(frozen=True)
class Section:
    """A picture or tables, and the sentence that says what to see there."""

    title: str
    sentence: str
    draw: Callable[[], str] | None = None  # an SVG
    file: str = ""  # of the picture
    size: str = ""  # how small it may be shown: "middle", "large", or at any size
    tables: Sequence[Sequence[Sequence[str]]] = field(default=())
    has_names: bool = False  # in the last column, one per line: shown side by side, each in its own direction


class Report(NamedTuple):
    """A page that was written, and a short version of it as Markdown."""

    page: Location
    markdown: str


def write_report(path: Anywhere, to: Anywhere | None = None) -> Report:
    """Writes the page about a model or a data set, and its pictures.

    Args:
        to: the folder to write to; None for the one under `reports` in the same output folder.

    Raises:
        ArtifactError: if there is neither at `path`, or it is unfinished or damaged.
    """
    where = location(path)
    dataset = open_manifest(where, DatasetManifest).sound() if where.is_dir() else None
    if dataset:
        return _write(_of_dataset(where, dataset), location(to) if to else report_folder(where), stamp_of(dataset))
    model = resolve_model(where)
    if model.is_file():
        raise ArtifactError("is a file", str(path), "Name the folder of a model or a data set")
    manifest = ModelFolder(model).manifest()
    return _write(_of_model(model, manifest), location(to) if to else report_folder(model), stamp_of(manifest))


@dataclass(frozen=True)
class _Content:
    title: str
    facts: Mapping[str, str]
    sections: Sequence[Section]


def _write(content: _Content, folder: Location, stamp: str) -> Report:
    environment = Environment(loader=PackageLoader("namegen", "report"), autoescape=True, keep_trailing_newline=True)
    drawn = {section.file: section.draw() for section in content.sections if section.draw}
    html = environment.get_template("page.html.jinja").render(
        title=content.title, facts=content.facts.items(), sections=content.sections, stamp=stamp, drawn=drawn
    )
    make_folder(folder)
    for name, content_of in {**drawn, PAGE: html}.items():  # the page comes last: it says that all is there
        contents = content_of.encode()
        write_atomically(folder / name, lambda temporary, contents=contents: temporary.write_bytes(contents))  # type: ignore[misc]
    told = [f"**{_escaped(section.title)}.** {_escaped(section.sentence)}" for section in content.sections]
    lines = [f"# {_escaped(content.title)}", *told]
    return Report(folder / PAGE, "\n\n".join([*lines, f"With pictures: `{folder / PAGE}`"]))


def _of_model(folder: Location, manifest: ModelManifest) -> _Content:
    model = ModelFolder(folder)
    frames = model.tables("bigrams", "training", "evaluation", "quality")
    names = model.names()
    facts = {
        "names": f"{len(names):,}",
        **{k: f"{v:,}" for k, v in manifest.configuration.items() if k in {"holdout", "order", "states"}},
        "SHA-256 of the names": manifest.configuration["names_sha256"],
        "made": manifest.written.at,
    }
    sections = [*_model_sections(manifest, frames, names[0].as_py()), _all_names(folder, manifest)]
    return _Content(manifest.model, facts, sections)


def _all_names(folder: Location, manifest: ModelManifest) -> Section:
    """What `about.txt` says, a table for each of its paragraphs."""
    file = read_checked(folder / about.FILE, manifest.files[about.FILE], remedy_for(folder))
    title, figures, *likeliest = file.decode().split("\n\n")
    return Section(
        "All its names at once",
        f"Computed from the automaton, not from drawn names: these figures are exact. They stand in {about.FILE}, too.",
        tables=[[[line] for line in text.splitlines()] for text in (f"{title}\n{figures}", *likeliest)],
    )


def _model_sections(manifest: ModelManifest, frames: Mapping[str, pl.DataFrame], name: str) -> Iterator[Section]:
    bigrams, evaluation, quality = frames["bigrams"], frames["evaluation"], frames["quality"]
    symbols = "".join(bigrams["second"].head(int(len(bigrams) ** 0.5)))
    boundary = symbols[0]
    inside = bigrams.filter(pl.col("first") != boundary, pl.col("second") != boundary).sort("count")
    first, second, often = inside.select("first", "second", "count").row(-1)
    yield Section(
        "What follows what",
        "The bluer a cell, the more often its second symbol follows its first in the whole list. "
        f"“{printable(boundary)}” is the start and the end of a name. "
        f"The most frequent pair inside names is “{printable(first + second)}”, "
        f"{often:,} times." + ("" if len(symbols) <= pictures.MOST_CELLS_WITH_TEXT else " Rows are first symbols."),
        partial(pictures.bigram_counts, bigrams),
        "bigrams.svg",
        "large",
    )
    yield Section(
        f"“{printable(name)}” as a network sees it",
        "There is a row for each symbol that another follows, with a single 1 in the column of that symbol.",
        partial(pictures.one_hot, name, symbols),
        "one-hot.svg",
        "middle",
    )
    if "neural_probability" in bigrams.columns:
        apart = (bigrams["probability"] - bigrams["neural_probability"]).abs() * bigrams["train_count"]
        mean = float(apart.sum()) / max(int(bigrams["train_count"].sum()), 1)
        yield Section(
            "Counted and learnt",
            (
                "Gradient descent comes close to what counting gives at once: the two tables look alike."
                if mean < ALIKE
                else "For so few names the network's settings are too coarse: the two tables differ."
            )
            + f" On average their probabilities differ by {mean:.3f} over the training pairs. Shade: its square root.",
            partial(pictures.counted_and_learnt, bigrams),
            "counted-and-learnt.svg",
            "middle",
        )
    last = frames["training"].group_by("model", maintain_order=True).last()
    ends = "; ".join(f"{row['model']} ends at {row['loss']:.4f}" for row in last.iter_rows(named=True))
    is_held_out = text.is_held_out(evaluation)
    yield Section(
        "Training",
        f"The loss of the networks as they learn: {ends}."
        + (" Once the NLL on dev stops falling, more steps gain nothing." if is_held_out else ""),
        partial(pictures.training, frames["training"]),
        "training.svg",
        "middle",
    )
    known = manifest.configuration.get("names_sha256") == MAKEMORE
    yield Section(
        "How well each model predicts names",
        "Further left is better. "
        + (
            "Seen names are also among the training names, and unseen names are not."
            if is_held_out
            else text.FITTED_ONLY
        )
        + " A bar is one standard error to either side."
        + (" The vertical line is a published figure for this list and split." if known else ""),
        partial(pictures.nll_of_models, evaluation, published=known),
        "nll.svg",
        "middle",
        [text.evaluation_rows(evaluation)],
    )
    yield Section(
        "How like the list the drawn names are",
        f"{quality['names'][0]:,} names were drawn from each model: the shares that are not on the list and that are "
        "different, the share with 12 characters or more, and how far lengths and letters are from the list's (total "
        "variation). Told apart: how well new names are told from held-out ones by their parts; membership: how "
        "well the probability of a name tells whether it is on the list (areas under a ROC curve, 0.5 to 1).",
        tables=[text.quality_rows(quality)],
    )
    examples = [[model, "\n".join(map(_shown, names))] for model, names in quality.select("model", "examples").rows()]
    yield Section(
        "The first names that each model draws",
        "Read a few aloud. Models further down use longer contexts.",
        tables=[[["model", "names"], *examples]],
        has_names=True,
    )
    if likeliest := quality["likeliest"].to_list()[-1]:
        yield Section(
            "The likeliest new names",
            "The most probable names that are not on the list. Fragments among them begin several names of the list.",
            tables=[[["name"], ["\n".join(map(_shown, likeliest))]]],
            has_names=True,
        )


def _of_dataset(folder: Location, manifest: DatasetManifest) -> _Content:
    model_path = model_of(folder, manifest)
    corpus = pl.Series(pl.from_arrow(ModelFolder(model_path).names()))
    part = read_checked(folder / part_name(0), manifest.part_sha256[0], remedy_for(folder))
    rows = pl.read_parquet(part, columns=["name", "log_prob", "is_novel"], n_rows=SAMPLED)
    facts = {
        "names": f"{manifest.rows:,}",
        "model": model_path.name,
        "seed": str(manifest.stream["seed"]),
        **({ASKED: manifest.configuration[ASKED]["words"]} if ASKED in manifest.configuration else {}),
        "shown here": f"the first {len(rows):,}",
        "made": manifest.written.at,
    }
    title = f"{manifest.rows:,} names of {model_path.name}, seed {manifest.stream['seed']}"
    return _Content(title, facts, list(_dataset_sections(rows, corpus)))


def _dataset_sections(rows: pl.DataFrame, corpus: pl.Series) -> Iterator[Section]:
    shares = growth(rows)
    end = shares.row(-1, named=True)
    yield Section(
        "The list and the drawn names",
        "Where two bars are equally high, the drawn names are like the list. On average drawn names have "
        f"{_mean_length(rows['name'])} characters, and listed ones {_mean_length(corpus)}.",
        partial(pictures.corpus_and_samples, corpus, rows["name"]),
        "list-and-drawn.svg",
        "middle",
    )
    yield Section(
        "As the count grows",
        f"Of the first {end['count']:,} names {100 * end['novel']:.1f} % are not on the list, and "
        f"{100 * end['distinct']:.1f} % are different. Likely names come back, so that share falls.",
        partial(pictures.growth, shares),
        "growth.svg",
        "middle",
    )
    different = rows.unique("name").sort("log_prob", "name", descending=[True, False])
    ends = {
        "the most probable": different.head(SHOWN),
        "the most probable that are new": different.filter("is_novel").head(SHOWN),
        "the least probable": different.tail(SHOWN).reverse(),
    }
    lists = [
        [
            [title, "log-probability"],
            *([_shown(name), f"{log_prob:.3f}"] for name, log_prob in frame.select("name", "log_prob").rows()),
        ]
        for title, frame in ends.items()
    ]
    yield Section(
        "Most and least probable",
        "In nats: a name at -7 is drawn about once in 1,100 times, and one at -30 may never be seen again.",
        tables=lists,
    )
    yield Section(
        "The first names",
        "In the order in which they were drawn. Say a few of them aloud.",
        tables=[[["names"], ["\n".join(map(_shown, rows["name"].head(EXAMPLES)))]]],
        has_names=True,
    )


def growth(rows: pl.DataFrame) -> pl.DataFrame:
    """`count`, and the shares `novel` and `distinct` of the first so many rows; counts a third of a decade apart."""
    so_far = rows.select(
        count=pl.int_range(1, pl.len() + 1),
        novel=pl.col("is_novel").cum_sum() / pl.int_range(1, pl.len() + 1),
        distinct=pl.col("name").is_first_distinct().cum_sum() / pl.int_range(1, pl.len() + 1),
    )
    steps = sorted({min(round(10 ** (k / 3)), len(rows)) for k in range(1, 3 * len(str(len(rows))) + 1)})
    return so_far[[step - 1 for step in steps]]


def _escaped(text: str) -> str:
    """`text` as Markdown that shows it as it stands, whatever is in a name."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", text)


def _mean_length(names: pl.Series) -> str:
    return f"{lengths(names).to_numpy().mean():.2f}"


def _shown(name: str) -> str:
    return printable(name) or "(empty)"
