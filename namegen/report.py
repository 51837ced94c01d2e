"""What a run found, as text for a terminal and as Markdown."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

COLUMNS = {  # title: (split, subset)
    "train": ("train", "all"),
    "dev": ("dev", "all"),
    "dev, unseen": ("dev", "unseen"),
    "test": ("test", "all"),
    "test, unseen": ("test", "unseen"),
}


def evaluation_rows(evaluation: pl.DataFrame) -> list[list[str]]:
    """A title row and a row a model, of the automata's NLL with its standard error, and the last split's perplexity."""
    automata = evaluation.filter(pl.col("source") == "automaton")
    cells = {(r["model"], r["split"], r["subset"]): r for r in automata.iter_rows(named=True)}
    models = automata["model"].unique(maintain_order=True).to_list()
    columns = {title: key for title, key in COLUMNS.items() if any((m, *key) in cells for m in models)}
    judged = next(split for split in ("test", "dev", "train") if (split, "all") in columns.values())
    rows = [["model", *columns, f"{judged} perplexity"]]
    for model in models:
        found = [cells.get((model, *key)) for key in columns.values()]
        nll = [_nll(r) if r else "" for r in found]
        rows.append([model, *nll, f"{cells[model, judged, 'all']['perplexity']:.2f}"])
    return rows


def _nll(row: dict[str, Any]) -> str:
    if math.isnan(row["standard_error"]):  # of a single name
        return f"{row['nll']:.4f}"
    return f"{row['nll']:.4f} ± {row['standard_error']:.4f}"


def evaluation_text(evaluation: pl.DataFrame) -> str:
    """The evaluation as aligned columns."""
    rows = evaluation_rows(evaluation)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["NLL in nats a character, end of name included, ± standard error", ""]
    lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    sizes = evaluation.filter(pl.col("subset") == "all").unique("split", maintain_order=True)
    counts = ", ".join(f"{r['split']} {r['names']:,} names" for r in sizes.iter_rows(named=True))
    return "\n".join([*lines, "", f"{counts}; table and automaton differ by at most {largest_gap(evaluation):.0e}"])


def evaluation_markdown(evaluation: pl.DataFrame) -> str:
    """The evaluation as a Markdown table."""
    title, *rows = evaluation_rows(evaluation)
    lines = [title, ["---"] * len(title), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def largest_gap(evaluation: pl.DataFrame) -> float:
    """The largest difference in NLL between a model's table and its automaton, nats a symbol."""
    sources = evaluation.pivot("source", index=["model", "split", "subset"], values="nll")
    return float((sources["table"] - sources["automaton"]).abs().fill_nan(0).max() or 0.0)  # type: ignore[arg-type]
