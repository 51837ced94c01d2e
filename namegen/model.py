"""What users hold: a model that samples, scores, explains and saves.

`fit` makes one from a list of names, and `load` finds one that a job or `Model.save` has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import TYPE_CHECKING, Any, Literal, overload

from namegen.automaton import artifact
from namegen.automaton.automaton import Automaton
from namegen.device import free_memory
from namegen.errors import ArtifactError, OutputError, SettingError, unreadable
from namegen.outputs import layout
from namegen.outputs.dataset import DatasetManifest
from namegen.outputs.manifests import open_manifest
from namegen.outputs.model_folder import Contents, ModelFolder, ModelManifest
from namegen.outputs.wish import wish_of
from namegen.storage.files import Anywhere, Location, absolute, entries, location, make_folder
from namegen.vocabulary import all_as_read, as_read

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from namegen.questions.question import Length, Listed, Question

MANY = 10**6  # names: fewer fit any memory
REMEDY = "Name a model's folder, its automaton.safetensors, a data set's folder, or an output folder with one model"


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A fitted model.

    Args:
        automaton: what is sampled and scored.
        source: what else is known of the model that was fitted: its contents or its folder; None for an automaton
            alone.
        asked: what was asked of that model, in words; empty if nothing was.
        probability: the share of its names that answer; or of the tempered model's, where it was tempered.
    """

    automaton: Automaton
    source: Contents | ModelFolder | None = None
    asked: tuple[str, ...] = ()
    probability: float = 1.0

    def __repr__(self) -> str:
        asked = f", asked={', '.join(self.asked)!r}, probability={self.probability:.4g}" if self.asked else ""
        return f"Model({self.automaton!r}{asked})"

    @property
    def evaluation(self) -> pl.DataFrame:
        """How well the model predicts names, beside those that it was compared with.

        `model`, `source`, `split`, `subset`, `names`, `symbols`, `nll` (nats per symbol), `standard_error` and
        `perplexity`; see `training.evaluate`.

        Raises:
            ArtifactError: if the model was loaded from an automaton alone, if its folder is damaged, or if a question
                was asked of it, so that it is another one.
        """
        if self.asked:
            what = f"is a question's ({', '.join(self.asked)}), which has not been evaluated"
            raise ArtifactError(what, "the model", "Take the evaluation of the model that it was asked of")
        return self._contents.tables["evaluation"]

    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0) -> pl.DataFrame: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["polars"]) -> pl.DataFrame: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["list"]) -> list[str]: ...
    @overload
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["arrow"]) -> pa.Table: ...
    def sample(self, count: int = 10, seed: int = 42, first: int = 0, *, into: str = "polars") -> Any:
        """Names `first` to `first + count - 1` of the stream of a seed.

        Args:
            into: "polars" for a DataFrame or "arrow" for a Table, both of `index` (int64), `name` (string) and
                `log_prob` (float64, nats); "list" for the names alone.

        Raises:
            SettingError: for a seed outside 0 .. 2^64-1, a range outside 0 .. 2^63-1, or more names than the memory
                that is free can hold.

        Of the notebook's bigram table:

        >>> model.sample(3, into="list")
        ['sabe', 'sahndr', 'zush']
        >>> model.sample(1, first=2)["name"].to_list()  # row 2 alone
        ['zush']
        """
        from namegen.sampling.stream import sample  # slow to import; loading and scoring do without

        _check_into(into)
        seed, first, count = index(seed), index(first), index(count)
        if count > MANY:
            self._check_memory(seed, first, count, into)
        return _into(sample(self.automaton, seed, first, count), into)

    def _check_memory(self, seed: int, first: int, count: int, into: str) -> None:
        """Refuses to draw more names than fit the memory; a process that takes too much is killed without a word."""
        from namegen.outputs.room import readable_size
        from namegen.sampling.stream import bytes_per_row

        row, text = bytes_per_row(self.automaton, seed, first, count)
        # the batches and the table that they become are there together; then the table and what it is turned into
        needed, free = count * (row + max(row, text if into == "list" else 0)), free_memory()
        if needed > free:
            what = f"{count:,} names need about {readable_size(needed)} of memory, and {readable_size(free)} are free"
            remedy = "Draw them in pieces with first=, or run the job, which writes any number of names to files"
            raise SettingError(what, remedy=remedy)

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

        Names are read as those of a list are: NFC-normalised, without the white space around them. A name with a
        character outside the vocabulary, or with more than 64 characters, gets -inf.

        Args:
            names: one name, or a list, a polars Series, or an Arrow Array or ChunkedArray of names.

        Returns:
            the same kind: a number, a list, a polars Series, or an Arrow Array. Nulls in the last two stay null.

        Raises:
            TypeError: for anything that is not text.

        Of the notebook's bigram table:

        >>> model.score(["emma", "Zoë"])
        [-12.571..., -inf]
        >>> model.score(pl.Series("name", ["emma", None])).is_null().to_list()
        [False, True]
        """
        if isinstance(names, str):
            return float(self.automaton.log_prob([as_read(names)])[0])
        if isinstance(names, Sequence):
            if not all(isinstance(name, str) for name in names):
                raise TypeError("a list of names holds only text; for nulls use polars or Arrow")
            return self.automaton.log_prob(all_as_read(names)).tolist()
        return self._score_column(names)

    def _score_column(self, names: Any) -> Any:  # noqa: ANN401 - as `score`
        import pyarrow as pa

        if type(names).__module__.startswith("polars.series"):  # then polars has been imported
            import polars as pl

            if names.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
                raise TypeError(f"names must be text, not {names.dtype}")
            return pl.Series(names.name, self._score_column(names.to_arrow()), pl.Float64)
        if not isinstance(names, pa.Array | pa.ChunkedArray):
            kind = f"{type(names).__module__}.{type(names).__qualname__}"
            raise TypeError(f"names must be text, or a list, a polars Series or an Arrow array of text, not {kind}")
        if not is_text(names.type):
            raise TypeError(f"names must be text, not {names.type}")
        texts = names.cast(pa.string()).to_pylist()
        scores = self.automaton.log_prob(all_as_read([text or "" for text in texts]))
        import numpy as np

        return pa.array(scores, pa.float64(), mask=np.fromiter((text is None for text in texts), bool, len(texts)))

    def explain(self, name: str, alternatives: int = 5) -> pl.DataFrame:
        """Why a name has its log-probability: a row for each of its symbols, and one for its end.

        A name that cannot be spelt ends with the first symbol of probability 0.

        Args:
            alternatives: how many of the likeliest other symbols to name at each step.

        Returns:
            a frame of `step` (from 1), `context` (up to n-1 symbols before; "." is the start), `known` (how much of the
            context the state knows: what the model backed off to), `symbol` ("." is the end), `probability`,
            `log_prob` (nats; their sum, in order, is the name's), and `alternatives`, a list of structs of `symbol`
            and `probability`.

        Raises:
            SettingError: for a negative number of alternatives.

        Of the notebook's bigram table:

        >>> model.explain("em").select("known", "symbol", pl.col("probability").round(4)).rows()
        [('.', 'e', 0.0478), ('e', 'm', 0.0377), ('m', '.', 0.0775)]
        """
        from namegen.automaton.explanation import explain

        if not isinstance(name, str):
            raise TypeError(f"a name must be text, not {type(name).__name__}")
        return explain(self.automaton, as_read(name), alternatives)

    def where(
        self,
        *,
        prefix: str | None = None,
        suffix: str | None = None,
        contains: str | None = None,
        pattern: str | None = None,
        length: Length | None = None,
        novel: bool = False,
        without: Listed = (),
        block: Listed = (),
    ) -> Model:
        """The same model, given that its names answer every condition: all others are never drawn.

        It is a model like any other: it samples, scores, explains, and can be asked again. Its log-probabilities are
        those given the conditions; with ln `probability` they add up to the model's own.

        Args:
            prefix: how names begin.
            suffix: how they end.
            contains: what stands anywhere in them.
            pattern: a regular expression for the whole name, in the syntax of `re`, without looking around and
                references to groups.
            length: in characters: 5, (5, 8), (5, None) for 5 or more, or "5-8".
            novel: not on the list that the model was fitted to.
            without: none of these names; a list, or the path of a file of any form that a list can have.
            block: contains none of these pieces; likewise.

        Raises:
            SettingError: if no name of the model answers, if the question takes more states than fit, or if a
                condition is none.
            CorpusError: if a list cannot be read.
            ArtifactError: for `novel`, if the model was loaded from an automaton alone.

        Of the notebook's bigram table:

        >>> asked = model.where(prefix="mar", length=(5, 8))
        >>> asked.sample(3, into="list"), round(asked.probability, 5)
        (['maread', 'maredr', 'maria'], 0.00118)
        """
        from namegen.questions.question import Question

        question = Question.of(
            prefix=prefix,
            suffix=suffix,
            contains=contains,
            pattern=pattern,
            length=length,
            novel=novel,
            without=without,
            block=block,
        )
        return self.asking(question)

    def asking(self, question: Question) -> Model:
        """The same model, given that its names answer a question; see `where`."""
        if question.is_empty:
            return self
        known = self.listed() if question.novel else None
        if question.novel and known is None:
            what = "is an automaton alone: it does not know which names are novel"
            raise ArtifactError(what, artifact.FILE, "Load the model's whole folder")
        answer = question.ask(self.automaton, () if known is None else known.to_pylist())
        return replace(
            self,
            automaton=answer.automaton,
            asked=(*self.asked, *question.words()),
            probability=self.probability * answer.probability,
        )

    def top(self, count: int = 10) -> pl.DataFrame:
        """The most probable names, in order; equal ones in the order of their letters.

        Returns:
            a frame of `name` and `log_prob` (nats).

        Raises:
            SettingError: for more names than there are, or than 10^7.

        Of the notebook's bigram table:

        >>> model.top(3)["name"].to_list()
        ['a', 'n', 'e']
        """
        from namegen.questions.top import top  # slow to import

        return _frame(top(self.automaton, index(count)))

    @overload
    def distinct(self, count: int = 10, seed: int = 42, first: int = 0) -> pl.DataFrame: ...
    @overload
    def distinct(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["polars"]) -> pl.DataFrame: ...
    @overload
    def distinct(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["list"]) -> list[str]: ...
    @overload
    def distinct(self, count: int = 10, seed: int = 42, first: int = 0, *, into: Literal["arrow"]) -> pa.Table: ...
    def distinct(self, count: int = 10, seed: int = 42, first: int = 0, *, into: str = "polars") -> Any:
        """Names without repetition, as if drawn one after another, each in proportion to what is left.

        They come in an order of their own, which is not that of `sample`. The same seed gives the same names, of which
        a smaller count is the beginning. Row i depends on all rows before it, so `first` saves memory, but no time.

        Args:
            into: as for `sample`.

        Raises:
            SettingError: for more names than there are, or as `sample`.

        Of the notebook's bigram table:

        >>> model.distinct(3, into="list")
        ['firis', 's', 'kn']
        """
        import pyarrow as pa

        from namegen.questions.race import distinct  # slow to import
        from namegen.sampling.stream import SCHEMA

        _check_into(into)
        batches = distinct(self.automaton, index(seed), index(first), index(count))
        return _into(pa.Table.from_batches(batches, SCHEMA).combine_chunks(), into)

    def temper(self, temperature: float) -> Model:
        """The same model at another temperature: each of its distributions to the power 1/T, normalised.

        Below 1 it draws the likely more often, and above 1 the unlikely. Its log-probabilities are its own, and what is
        asked of it afterwards is asked of the tempered model.

        Args:
            temperature: T, 0.1 to 5; 1 changes nothing.

        Raises:
            SettingError: for a temperature out of range.

        Of the notebook's bigram table:

        >>> model.temper(0.5).sample(5, into="list")
        ['sa', 's', 'kash', 'juslan', 'ja']
        """
        if temperature == 1:
            return self
        from namegen.questions.temperature import temper  # slow to import

        asked = (*self.asked, f"at temperature {temperature:g}")
        return replace(self, automaton=temper(self.automaton, temperature), asked=asked, probability=1.0)

    def save(self, folder: Anywhere) -> None:
        """Writes the model to a folder, from which `load` reads it; the folder is made if it is missing.

        The folder is what a job makes under outputs/models: tables, the automaton, and a manifest. A model that was
        loaded from an automaton alone, or asked a question, becomes an automaton.safetensors.

        Raises:
            OutputError: if the folder is not empty, and does not hold this model.
            OSError: if it cannot be written.
        """
        where = location(folder)
        contents = self._contents if self.source and not self.asked else None
        if where.is_file() or not self._may_replace(where):
            what = "is a file" if where.is_file() else "is not empty, and does not hold this model"
            raise OutputError(what, str(folder), "Name a new or an empty folder")
        make_folder(where)
        if contents:
            ModelFolder(where).save(contents)
        else:
            artifact.save(self.automaton, where / artifact.FILE)

    def _may_replace(self, folder: Location) -> bool:
        """Whether a folder is missing, empty, or holds this model."""
        if not folder.is_dir() or not entries(folder):
            return True
        try:
            return artifact.load(folder).sha256 == self.automaton.sha256
        except ArtifactError:
            return False

    def listed(self) -> pa.StringArray | None:
        """The names of the list that the model was fitted to, held-out ones included; None for an automaton alone."""
        if self.source is None:
            return None
        if isinstance(self.source, ModelFolder):
            return self.source.names()
        import pyarrow as pa

        return pa.chunked_array(self.source.tables["names"]["name"].to_arrow().cast(pa.string())).combine_chunks()

    @property
    def _contents(self) -> Contents:
        if self.source is None:
            remedy = "Load the model's whole folder"
            raise ArtifactError("is an automaton alone: nothing else is known of it", artifact.FILE, remedy)
        return self.source.contents() if isinstance(self.source, ModelFolder) else self.source


def _check_into(into: str) -> None:
    if into not in {"polars", "arrow", "list"}:
        raise SettingError(f"into {into!r} is unknown", remedy="Choose polars, arrow or list")


def _into(table: pa.Table, into: str) -> Any:  # noqa: ANN401 - as `Model.sample`
    return table if into == "arrow" else table["name"].to_pylist() if into == "list" else _frame(table)


def _frame(table: pa.Table) -> pl.DataFrame:
    import polars as pl  # slow to import

    return pl.DataFrame(pl.from_arrow(table))


def load(path: Anywhere) -> Model:
    """The model at a path or a URL.

    Args:
        path: a model's folder or its automaton.safetensors, a data set's folder, or an output folder with one model.
            If the data set was asked for more than a plain stream, the model is one that was asked the same.

    Raises:
        ArtifactError: if there is none of these, if it is damaged, or if it could be several.
    """
    where = resolve_model(path)
    is_whole = where.is_dir() and (where / ModelManifest.FILE).is_file()
    model = Model(artifact.load(where), ModelFolder(where) if is_whole else None)
    wish = wish_of(existing(path))
    return model if wish.is_plain else model.temper(wish.temperature).asking(wish.question)


def resolve_model(path: Anywhere) -> Location:
    """The model's folder or automaton file that a path leads to: itself, a data set's, or the only one in a folder.

    Raises:
        ArtifactError: as for `load`.
    """
    where = existing(path)
    if where.is_file() or (where / artifact.FILE).is_file():
        return where
    dataset = open_manifest(where, DatasetManifest).sound()
    if dataset:
        return model_of(where, dataset)
    if layout.has_seed(where):
        raise ArtifactError("is an unfinished data set", str(path), "Run its job again")
    below = where / layout.MODELS if (where / layout.MODELS).is_dir() else where
    models = [folder for folder in layout.folders_in(below) if (folder / artifact.FILE).is_file()]
    if not models:
        raise ArtifactError("holds no model", str(path), REMEDY)
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise ArtifactError(f"holds {len(models)} models ({names})", str(path), f"Name one, such as {models[0]}")
    return models[0]


def model_of(dataset: Location, manifest: DatasetManifest) -> Location:
    """The folder of a data set's model, in the same output folder.

    Raises:
        ArtifactError: if it is not there, or is another model.
    """
    name = layout.model_of(dataset) or absolute(dataset).parent.name
    folder = layout.model_folder(layout.output_of(dataset), name)
    if not (folder / artifact.FILE).is_file():
        what = f"was drawn from the model {name}, which is not in the same output folder"
        raise ArtifactError(what, str(dataset), "Name the model's own folder")
    model = open_manifest(folder, ModelManifest).sound()
    is_asked = bool(layout.key_of(dataset))  # then it was drawn from another automaton
    if model and not is_asked and model.automaton_sha256 != manifest.stream.get("automaton_sha256"):
        raise ArtifactError(f"was drawn from another model than {folder}", str(dataset), "Name the model's own folder")
    return folder


def existing(path: Anywhere) -> Location:
    """A path at which there is something.

    Raises:
        ArtifactError: if there is nothing.
    """
    where = location(path)
    try:
        if where.is_file() or where.is_dir():
            return where
    except OSError as error:
        raise unreadable(error, where) from error
    except ValueError as error:  # a null character
        raise ArtifactError(f"cannot be read ({error})", str(path), REMEDY) from None
    raise ArtifactError("there is no such file or folder", str(path), REMEDY)


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow column holds text, in whatever layout, or nothing but nulls."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    of_text = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null
    return any(is_kind(kind) for is_kind in of_text)
