"""A model's table in integers: what is sampled, scored and stored.

Everything after the automaton is exact: a draw compares integers, a log-probability is a sum of logarithms of
integer weights. Unlike a table of floats, it gives the same names on every machine. Its invariants:

    A1  each row of weights sums to exactly 2^32.
    A2  a symbol of positive probability has a weight of at least 1.
    A3  no weight is further than 1 from probability * 2^32, but for A2.
    A4  the boundary ends the name; every other symbol has a successor state.
    A5  the start state, 0, is the context ".".
    A6  every state can reach the end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from namegen.automaton.alias_tables import build_alias_tables
from namegen.automaton.logarithm import ln
from namegen.automaton.walk import score_column, walk
from namegen.errors import ArtifactError, SettingError, unreadable
from namegen.storage.files import Location, local_copy, location, write_atomically
from namegen.storage.object_store import RemotePath
from namegen.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

FORMAT_VERSION = 1  # of automaton.safetensors
STREAM_VERSION = 1  # of the names drawn from it: any change of a drawn byte is a new one
TOTAL = 2**32  # what the weights of a row sum to
_ARRAYS = ("weights", "successor")


@dataclass(frozen=True, eq=False, repr=False)
class Automaton:
    """A probabilistic automaton over S states and V symbols; a name is a walk from state 0 to the boundary.

    After 64 symbols the boundary follows with probability 1.

    Args:
        vocabulary: the symbols.
        order: n, as in n-gram, of the contexts that became states.
        weights: int64[S, V]: the probability of each symbol times 2^32.
        successor: int32[S, V]: the state after each symbol; 0 for the boundary.
    """

    vocabulary: Vocabulary
    order: int
    weights: NDArray[np.int64]
    successor: NDArray[np.int32]

    @property
    def states(self) -> int:
        """S, the number of states."""
        return len(self.weights)

    @property
    def column_bits(self) -> int:
        """b: an alias table has 2^b columns, b the smallest with 2^b >= V."""
        return (len(self.vocabulary) - 1).bit_length()

    @cached_property
    def log_probabilities(self) -> NDArray[np.float64]:
        """float64[S, V]: ln(weight / 2^32), in nats; the same bits on every machine."""
        return ln(self.weights / TOTAL)

    @cached_property
    def alias_tables(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """Threshold uint32[S, 2^b] and alias uint8[S, 2^b], see `build_alias_tables`."""
        return build_alias_tables(self.weights, self.column_bits)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the vocabulary, the order and the arrays, in hex: the automaton's identity."""
        digest = hashlib.sha256(json.dumps([self.vocabulary.symbols, self.order, self.weights.shape]).encode())
        for array in (self.weights, self.successor):
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def __repr__(self) -> str:
        symbols = len(self.vocabulary)
        return f"Automaton(order={self.order}, states={self.states:,}, symbols={symbols}, sha256={self.sha256[:12]}...)"

    @cached_property
    def context_lengths(self) -> NDArray[np.int64]:
        """int64[S]: how many of the symbols before it each state knows, 1 to n-1."""
        from namegen.automaton.explanation import context_lengths  # which knows what an automaton is

        return context_lengths(self)

    @overload
    def score(self, names: str) -> float: ...  # type: ignore[overload-overlap] # a str is a sequence of str, too
    @overload
    def score(self, names: Sequence[str]) -> list[float]: ...
    @overload
    def score(self, names: pl.Series) -> pl.Series: ...
    @overload
    def score(self, names: pa.Array) -> pa.Array: ...
    def score(self, names: Any) -> Any:
        """The log-probability of each name in nats; for a sampled name, exactly its log_prob.

        Names are taken as they stand (a corpus is NFC-normalised). -inf for a name with a character outside the
        vocabulary or with more than 64 characters.

        Args:
            names: one, or a list, a polars Series, or an Arrow Array or ChunkedArray of them.

        Returns:
            the same: a number, a list, a polars Series, or an Arrow Array; the nulls of the last two stay.

        Raises:
            TypeError: for what is no text.

        Of the notebook's bigram table:

        >>> automaton.score(["emma", "Zoë"])
        [-12.571..., -inf]
        >>> automaton.score(pl.Series("name", ["emma", None])).is_null().to_list()
        [False, True]
        """
        if isinstance(names, str):
            return float(self.log_prob([names])[0])
        if isinstance(names, Sequence):
            if not all(isinstance(name, str) for name in names):
                raise TypeError("a list of names has nothing but text in it: nulls are for polars and Arrow")
            return self.log_prob(names).tolist()
        # polars or pyarrow has been imported, where there is one of its own
        return score_column(names, self.log_prob)

    def log_prob(self, names: Sequence[str]) -> NDArray[np.float64]:
        """As `score`, float64[len(names)]."""
        return walk(names, self.vocabulary, self.successor, self.log_probabilities)

    def explain(self, name: str, alternatives: int = 5) -> pl.DataFrame:
        """Why a name has the log-probability that it has: a row for each of its symbols, and for its end.

        What cannot be spelt ends with the first symbol of probability 0.

        Args:
            alternatives: how many of the likeliest other symbols are named at each step.

        Returns:
            a frame of `step` (from 1), `context` (the n-1 symbols before, as many as there are, "." for the start),
            `known` (how much of it the state still knows: what the model backed off to), `symbol` ("." for the end),
            `probability`, `log_prob` (nats; their sum in order is the name's), and `alternatives`, a list of structs
            of `symbol` and `probability`.

        Raises:
            SettingError: for a negative number of alternatives.

        >>> automaton.explain("em").select("known", "symbol", pl.col("probability").round(4)).rows()
        [('.', 'e', 0.0478), ('e', 'm', 0.0377), ('m', '.', 0.0775)]
        """
        from namegen.automaton.explanation import explain  # which knows what an automaton is

        return explain(self, name, alternatives)

    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0) -> pl.DataFrame: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["polars"]) -> pl.DataFrame: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["list"]) -> list[str]: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["arrow"]) -> pa.Table: ...
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: str = "polars") -> Any:
        """Names `first` to `first + count - 1` of a seed's stream.

        Args:
            into: "polars" for a DataFrame, "arrow" for a Table, both of `index` (int64), `name` (string) and `log_prob`
                (float64, nats); "list" for the names alone.

        Raises:
            SettingError: for a seed outside 0 .. 2^64-1, or a range outside 0 .. 2^63-1.

        >>> automaton.sample(3, into="list")
        ['sabe', 'sahndr', 'zush']
        >>> automaton.sample(1, first=2)["name"].to_list()  # row 2 alone
        ['zush']
        """
        from namegen.sampling.stream import sample  # slow to import, and loading and scoring do without

        table = sample(self, index(seed), index(first), index(count))
        if into == "arrow":
            return table
        if into == "list":
            return table["name"].to_pylist()
        if into != "polars":
            raise SettingError(f"into {into!r} is unknown", remedy="Choose polars, arrow or list")
        import polars as pl

        return pl.DataFrame(pl.from_arrow(table))

    def stream(self, seed: int) -> dict[str, Any]:
        """What decides every name drawn with `seed`, as JSON has it."""
        return {"automaton_sha256": self.sha256, "stream_version": STREAM_VERSION, "seed": seed}

    def save(self, path: Location) -> None:
        """Writes the artifact, whole or not at all."""
        metadata = {
            "format_version": FORMAT_VERSION,
            "stream_version": STREAM_VERSION,
            "order": self.order,
            "vocabulary": self.vocabulary.symbols,
            "sha256": self.sha256,
        }
        arrays: dict[str, NDArray[Any]] = {"weights": self.weights, "successor": self.successor}
        # one entry: safetensors writes several in an order that changes from run to run
        one = {"namegen": json.dumps(metadata)}
        # not save_file: its file can be read by its owner only
        contents = save(arrays, one)
        write_atomically(path, lambda temporary: temporary.write_bytes(contents))


def load(path: str | Path | RemotePath) -> Automaton:
    """Loads an automaton from its file, or from the model's folder; a URL leads into an object store.

    Raises:
        ArtifactError: where the file is missing, cut short, altered, or of a newer version.
    """
    path = location(path)
    where, remedy = str(path), "If it is a model's, remove the folder and run the job again to have it made anew"
    try:
        if not path.is_file() and path.is_dir():
            path = path / "automaton.safetensors"
            where = str(path)
        if not path.is_file():
            raise ArtifactError("there is no such file", where, "Name a model's folder, such as outputs/models/...")
        with local_copy(path) as local, safe_open(local, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})["namegen"])
            _check_versions(metadata, where)
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        automaton = Automaton(Vocabulary(metadata["vocabulary"]), metadata["order"], **arrays)
        if not _is_sound(automaton) or automaton.sha256 != metadata["sha256"]:
            raise ArtifactError("was altered: its contents do not fit its checksum", where, remedy)
    except OSError as error:
        raise unreadable(error, path) from error
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(f"is cut short or no automaton ({reason})", where, remedy) from None
    return automaton


def _check_versions(metadata: dict[str, Any], where: str) -> None:
    for name, ours in (("format_version", FORMAT_VERSION), ("stream_version", STREAM_VERSION)):
        if metadata[name] > ours:
            raise ArtifactError(
                f"has {name} {metadata[name]}, and this version of namegen reads up to {ours}",
                where,
                "Upgrade namegen",
            )


def _is_sound(automaton: Automaton) -> bool:
    """Whether the arrays are such that sampling stays inside them: shapes, types, A1 and A4."""
    weights, successor = automaton.weights, automaton.successor
    shape = (automaton.states, len(automaton.vocabulary))
    return (
        weights.dtype == np.int64
        and successor.dtype == np.int32
        and weights.shape == successor.shape == shape
        and len(weights) >= shape[1]
        and bool((weights >= 0).all() and (weights <= TOTAL).all() and (weights.sum(axis=1) == TOTAL).all())
        and bool((successor >= 0).all() and (successor < len(weights)).all())
    )
