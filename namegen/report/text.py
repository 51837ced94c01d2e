"""Tables of text: the figures of a run, for a terminal and as Markdown."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import polars as pl

from namegen.errors import printable

COLUMNS = {  # title: (split, subset)
    "train": ("train", "all"),
    "dev": ("dev", "all"),
    "dev, unseen": ("dev", "unseen"),
    "test": ("test", "all"),
    "test, unseen": ("test", "unseen"),
    "left out": ("folds", "all"),
}
FITTED_ONLY = (
    "No names were held out: this is the NLL of the very names that the models were fitted to. "
    "It does not say how well they predict others."
)
LEFT_OUT = "Left out: each name as predicted by what was fitted without it (cross-validation)."
NOTHING = 0.00005  # nats per symbol, which four places do not show


def evaluation_rows(evaluation: pl.DataFrame) -> list[list[str]]:
    """A title row and a row for each model: its NLL with the standard error, and the perplexity.

    They are the automaton's. A network that is part of a blend has none, and is measured itself.
    """
    shown = shown_rows(evaluation)
    folds = evaluation.filter(split="folds")
    cells = {(r["model"], r["split"], r["subset"]): r for r in pl.concat([shown, folds]).iter_rows(named=True)}
    models = shown["model"].unique(maintain_order=True).to_list()
    columns = {title: key for title, key in COLUMNS.items() if any((m, *key) in cells for m in models)}
    judged = next(split for split in ("test", "dev", "train") if (split, "all") in columns.values())
    rows = [["model", *columns, f"{judged} perplexity"]]
    for model in models:
        found = [cells.get((model, *key)) for key in columns.values()]
        nll = [_nll(r) if r else "" for r in found]
        rows.append([model, *nll, f"{cells[model, judged, 'all']['perplexity']:.2f}"])
    return rows


def shown_rows(evaluation: pl.DataFrame) -> pl.DataFrame:
    """The rows of each model's automaton, or of the model itself if there is none; what is drawn from comes last."""
    automata = evaluation.filter(source="automaton")
    drawn_from = automata["model"][-1]
    alone = evaluation.filter(pl.col("source") == "exact", ~pl.col("model").is_in(automata["model"].implode()))
    before, last = automata.filter(pl.col("model") != drawn_from), automata.filter(model=drawn_from)
    return pl.concat([before, alone, last])


def _nll(row: dict[str, Any]) -> str:
    if math.isnan(row["standard_error"]):  # of a single name
        return f"{row['nll']:.4f}"
    return f"{row['nll']:.4f} ± {row['standard_error']:.4f}"


def is_held_out(evaluation: pl.DataFrame) -> bool:
    """Whether models were measured on names that they were not fitted to."""
    return bool(evaluation["split"].is_in(["dev", "test"]).any())


def evaluation_text(evaluation: pl.DataFrame) -> str:
    """The evaluation as aligned columns."""
    sizes = evaluation.filter(pl.col("subset") == "all", pl.col("split") != "folds").unique(
        "split", maintain_order=True
    )
    counts = ", ".join(f"{r['split']} {r['names']:,} names" for r in sizes.iter_rows(named=True))
    lines = [
        "NLL in nats per character, end of name included, ± standard error",
        "",
        *aligned(evaluation_rows(evaluation)),
        "",
        f"{counts}; table and automaton differ by at most {largest_gap(evaluation):.0e}",
        *([] if is_held_out(evaluation) else [FITTED_ONLY]),
        *([LEFT_OUT] if "folds" in evaluation["split"] else []),
        *(
            f"{model} {'loses' if loss > 0 else 'gains'} {abs(loss):.4f} on {split} by compiling"
            for model, split, loss in losses(evaluation)
            if abs(loss) >= NOTHING
        ),
    ]
    return "\n".join(lines)


def quality_rows(quality: pl.DataFrame) -> list[list[str]]:
    """A title row, a row for the names file, and a row for each model: what its drawn names are like."""
    title = ["model", "new", "distinct", "mean length", "12 or more", "lengths", "first", "last"]
    title += ["told apart", "membership"]
    long = f"{100 * quality['corpus_long'][0]:.1f} %"
    file = ["names file", "", "", f"{quality['corpus_mean_length'][0]:.2f}", long, *[""] * 5]
    rows = [
        [
            r["model"],
            *(f"{100 * r[share]:.1f} %" for share in ("novel", "distinct")),
            f"{r['mean_length']:.2f}",
            f"{100 * r['long']:.1f} %",
            *(f"{r[f'{what}_distance']:.3f}" for what in ("length", "first_letter", "last_letter")),
            *("" if r[auc] is None else f"{r[auc]:.3f}" for auc in ("detectability", "membership")),
        ]
        for r in quality.iter_rows(named=True)
    ]
    return [title, file, *rows]


def quality_text(quality: pl.DataFrame) -> str:
    """The quality of the drawn names as aligned columns, and the first names of each model."""
    lines = [
        f"{quality['names'][0]:,} names drawn from each: the shares not in the names file and distinct,",
        "the mean length, the share with 12 characters or more, distances from the names file (total variation),",
        "and how well new names are told apart from real ones, and listed names from others (AUC, 0.5 to 1)",
        "",
        *aligned(quality_rows(quality)),
    ]
    last = quality.row(-1, named=True)
    if last["detectability_cold"] is not None and last["detectability_hot"] is not None:
        told = f"told apart at {last['detectability_cold']:.3f} and {last['detectability_hot']:.3f}"
        lines += ["", f"At temperatures 0.7 and 1.3, names of {last['model']} are {told}."]
    if last["likeliest"]:
        lines += ["", *_wrapped(f"The likeliest new names of {last['model']}", last["likeliest"])]
    for model, examples in quality.select("model", "examples").iter_rows():
        lines += ["", *_wrapped(model, examples)]
    return "\n".join(lines)


def _wrapped(title: str, names: list[str]) -> list[str]:
    shown = ", ".join(printable(name) or "(empty)" for name in names)
    return textwrap.wrap(f"{title}: {shown}", 100, break_long_words=False, break_on_hyphens=False)


def aligned(rows: list[list[str]]) -> list[str]:
    """A line for each row, with its columns flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def markdown(rows: list[list[str]]) -> str:
    """Rows as a Markdown table; the first is its title."""
    title, *rows = rows
    lines = [title, ["---"] * len(title), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def largest_gap(evaluation: pl.DataFrame) -> float:
    """The largest difference in NLL between a model's table and its automaton, nats per symbol."""
    sources = evaluation.pivot("source", index=["model", "split", "subset"], values="nll")
    return float((sources["table"] - sources["automaton"]).abs().fill_nan(0).max() or 0.0)  # type: ignore[arg-type]


def losses(evaluation: pl.DataFrame) -> list[tuple[str, str, float]]:
    """(model, split, nats per symbol): what an automaton loses to its own model, which remembers more of a name.

    Below 0 it gains. On the names of dev and test.
    """
    held_out = evaluation.filter(pl.col("subset") == "all", pl.col("split").is_in(["dev", "test"]))
    if not {"exact", "automaton"} <= set(held_out["source"]):
        return []
    sources = held_out.pivot("source", index=["model", "split"], values="nll").drop_nulls(["exact", "automaton"])
    return sources.select("model", "split", pl.col("automaton") - pl.col("exact")).rows()
