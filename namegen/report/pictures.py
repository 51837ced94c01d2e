"""The pictures of a page, as SVG. Each function takes a frame or two, and draws one picture.

Text stays text, in the reader's own font, so that any script shows. Ink is a CSS variable and the background is left
out, so that a picture fits a light or a dark page, and works as a file of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from namegen import characters
from namegen.errors import printable
from namegen.report.text import shown_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

INK, FAINT, GRID = "#010203", "#020304", "#030405"  # each is replaced by a variable
STYLE = """<style>
:root { color-scheme: light dark; --ink: #1f2328; --faint: #6e7781; --grid: #d0d7de; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --grid: #3d444d; } }
</style>"""
BLUE, ORANGE, GREEN = "#3b82c4", "#d9822b", "#3a9d5d"  # all are legible on white and on black
SETTINGS: Any = {
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "namegen",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "grid.color": GRID,
    "legend.frameon": False,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color"], INK
    ),
}
MOST_CELLS_WITH_TEXT = 40  # symbols a side; with more the text is too small to read, and the page too large
MOST_BARS = 40
PUBLISHED = {"WaveNet of the lecture series": 1.9937}  # dev, on makemore's list


def picture(width: float, height: float, draw: Callable[[Figure], None]) -> str:
    """An SVG of so many inches."""
    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # by the font that only measures
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        figure.patch.set_visible(False)
        for axes in figure.axes:
            axes.patch.set_visible(False)
        out = StringIO()
        # not savefig, which draws twice
        FigureCanvasSVG(figure).print_svg(out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))  # type: ignore[no-untyped-call]
    svg = out.getvalue()
    for colour, variable in ((INK, "--ink"), (FAINT, "--faint"), (GRID, "--grid")):
        svg = svg.replace(colour, f"var({variable})")
    start = svg.index("<svg")
    end = svg.index(">", start) + 1
    return f"{svg[start:end]}\n{STYLE}{svg[end:]}"


def bigram_counts(bigrams: pl.DataFrame) -> str:
    """All V x V pairs: the bluer, the more often the second symbol follows the first; pair and count in each cell."""
    symbols, counts = _square(bigrams, "count")
    side = len(symbols)
    inches = 16.0 if side <= MOST_CELLS_WITH_TEXT else 10.0

    def draw(figure: Figure) -> None:
        figure.set_layout_engine("none")  # otherwise each text is measured
        axes = figure.add_axes((0, 0, 1, 1) if side <= MOST_CELLS_WITH_TEXT else (0.02, 0.02, 0.98, 0.98))
        shade = counts / max(counts.max(), 1)
        axes.imshow(_blue(shade))
        if side > MOST_CELLS_WITH_TEXT:
            _label(axes.set_yticks, symbols, inches)
            _label(axes.set_xticks, symbols, inches)
            axes.grid(visible=False)
            axes.tick_params(length=0)
            return
        axes.axis("off")
        for i, j in np.ndindex(side, side):
            at: Any = {"x": j, "y": i, "ha": "center", "transform": axes.transData}
            figure.text(s=printable(symbols[i] + symbols[j]), va="bottom", color=INK, **at)
            figure.text(s=str(counts[i, j]), va="top", color=INK if shade[i, j] > 0.4 else FAINT, size=8, **at)

    return picture(inches, inches, draw)


def one_hot(name: str, symbols: str) -> str:
    """A name as a network sees it: a row for each symbol before the next, with a single 1."""
    ids = [symbols.index(symbol) for symbol in f".{name}"]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.imshow(_blue(np.eye(len(symbols))[ids]), aspect="auto")
        axes.grid(visible=False)
        axes.set_yticks(range(len(ids)), [printable(symbols[i]) for i in ids])
        _label(axes.set_xticks, symbols, 10)
        axes.tick_params(length=0)

    return picture(10, 0.5 + 0.32 * len(ids), draw)


def counted_and_learnt(bigrams: pl.DataFrame) -> str:
    """The table of the counted bigrams beside that of the one-layer network."""
    symbols, counted = _square(bigrams, "probability")
    _, learnt = _square(bigrams, "neural_probability")

    def draw(figure: Figure) -> None:
        for place, (title, table) in enumerate((("counted, plus one", counted), ("learnt", learnt)), 1):
            axes = figure.add_subplot(1, 2, place)
            axes.imshow(_blue(np.sqrt(table)))
            axes.set_title(title)
            axes.grid(visible=False)
            _label(axes.set_xticks, symbols, 5)
            _label(axes.set_yticks, symbols, 5)
            axes.set_xlabel("next")
            axes.set_ylabel("last")
            axes.tick_params(length=0)

    return picture(12, 6.2, draw)


def training(curves: pl.DataFrame) -> str:
    """The loss of each network, step by step, and its NLL on dev where it was measured."""
    models = curves["model"].unique(maintain_order=True).to_list()

    def draw(figure: Figure) -> None:
        for place, model in enumerate(models, 1):
            own = curves.filter(pl.col("model") == model)
            axes = figure.add_subplot(1, len(models), place)
            axes.plot(own["step"], own["loss"], color=BLUE, label="loss, train", marker="." if len(own) < 50 else "")
            if own["dev_nll"].null_count() < len(own):
                axes.plot(own["step"], own["dev_nll"], color=ORANGE, label="NLL, dev", marker=".")
            axes.set_title(model)
            axes.set_xlabel("step" if model == "neural-bigram" else "pass over the counts")
            axes.set_ylabel("nats per character")
            axes.legend()

    return picture(5 * len(models) + 1, 3.6, draw)


def nll_of_models(evaluation: pl.DataFrame, *, published: bool) -> str:
    """The NLL of each model with its standard error, for seen and unseen names; a panel for each held-out split."""
    own = shown_rows(evaluation).filter(pl.col("names") > 0)
    models = own["model"].unique(maintain_order=True).to_list()
    splits = [split for split in ("dev", "test") if split in own["split"]] or ["train"]

    def draw(figure: Figure) -> None:
        all_axes = figure.subplots(1, len(splits), sharey=True, squeeze=False)[0]
        for axes, split in zip(all_axes, splits, strict=True):
            for shift, (subset, colour) in enumerate((("seen", GREEN), ("all", BLUE), ("unseen", ORANGE))):
                if split == "train" and subset == "seen":
                    continue  # all of them are
                rows = own.filter(pl.col("split") == split, pl.col("subset") == subset)
                if len(rows):
                    height = [len(models) - 1 - models.index(model) + 0.2 * (1 - shift) for model in rows["model"]]
                    errors = rows["standard_error"].fill_nan(0)
                    axes.errorbar(rows["nll"], height, xerr=errors, fmt="o", color=colour, label=subset, capsize=3)
            if published and split == "dev":
                for who, nll in PUBLISHED.items():
                    axes.axvline(nll, color=FAINT, linestyle="--", linewidth=1, label=f"{who}, {nll}")
            axes.set_title(split)
            axes.set_xlabel("NLL, nats per character")
            axes.legend(fontsize=8)
        all_axes[0].set_yticks(range(len(models)), models[::-1])

    return picture(5.5 * len(splits) + 1, 0.8 + 0.5 * len(models), draw)


def corpus_and_samples(corpus: pl.Series, drawn: pl.Series) -> str:
    """Lengths, first letters, last letters and all letters, of the list and of drawn names, as shares."""
    panels: list[tuple[str, Callable[[pl.Series], pl.Series]]] = [
        ("length", characters.lengths),
        ("first letter", lambda names: characters.lengths_and_ends(names)[1]),
        ("last letter", lambda names: characters.lengths_and_ends(names)[2]),
        ("letters", characters.letters),
    ]

    def draw(figure: Figure) -> None:
        for axes, (title, of) in zip(figure.subplots(2, 2).ravel(), panels, strict=True):
            _shares(axes, title, of(corpus), of(drawn))

    return picture(12, 6.5, draw)


def _shares(axes: Axes, title: str, corpus: pl.Series, drawn: pl.Series) -> None:
    shares = [
        pl.DataFrame({"value": values}).filter(pl.col("value").cast(pl.String) != "").group_by("value").len()
        for values in (corpus, drawn)
    ]
    both = shares[0].join(shares[1], "value", how="full", coalesce=True, suffix="_drawn").fill_null(0)
    if len(both) > MOST_BARS:
        both = both.top_k(MOST_BARS, by=pl.col("len") + pl.col("len_drawn"))
        title = f"{title}, the {MOST_BARS} most frequent"
    both = both.sort("value")
    is_number = both["value"].dtype.is_integer()
    at = both["value"].to_numpy() if is_number else np.arange(len(both))
    for shift, (column, colour, label) in enumerate((("len", BLUE, "list"), ("len_drawn", ORANGE, "drawn"))):
        total = shares[shift]["len"].sum()
        axes.bar(at + 0.42 * (shift - 0.5), both[column] / total, 0.42, color=colour, label=label)
    if is_number:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        axes.set_xticks(at, [printable(value) for value in both["value"]])
    axes.grid(visible=False, axis="x")
    axes.set_title(title)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    axes.legend()


def growth(shares: pl.DataFrame) -> str:
    """The shares of new and of different names as the count grows."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(shares["count"], shares["novel"], color=BLUE, marker=".", label="not on the list")
        axes.plot(shares["count"], shares["distinct"], color=ORANGE, marker=".", label="different names")
        axes.set_xscale("log")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("names drawn")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axes.legend()

    return picture(12, 4, draw)


def _label(set_ticks: Callable[..., object], symbols: Sequence[str], inches: float) -> None:
    """Names the rows or columns of a table, in the largest size that leaves room for the next."""
    size = min(10.0, 40 * inches / len(symbols))  # points
    set_ticks(range(len(symbols)), [printable(symbol) for symbol in symbols], size=size)


def _square(bigrams: pl.DataFrame, column: str) -> tuple[Sequence[str], NDArray[Any]]:
    """The symbols, and a column of the V x V pairs as a table [first, second]."""
    symbols = bigrams["second"].head(int(len(bigrams) ** 0.5)).to_list()
    return symbols, bigrams[column].to_numpy().reshape(len(symbols), len(symbols))


def _blue(share: NDArray[Any]) -> NDArray[np.float64]:
    """RGBA of shares 0 to 1: blue, and transparent where there is little of it, so that any background shows."""
    red, green, blue = (int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5))
    table = np.empty((*share.shape, 4))
    table[..., :3] = red, green, blue
    table[..., 3] = share
    return table
