"""What a data set was asked for, beyond a plain stream of names.

It is a part of the data set's identity: its key is in the folder's name, `model=<model>-<id>+<key>`. It is kept in the
data set's record before the first part is made, with the names and pieces of its lists, so that a worker, a check or a
repair can ask the model again. The manifest has it in words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from namegen.automaton.automaton import Automaton
from namegen.errors import ArtifactError, unreadable
from namegen.outputs.layout import key_of, record_folder
from namegen.parameters import Parameters
from namegen.questions.question import Question
from namegen.storage.files import UNHELD, Hold, Location, open_regular, write_atomically

if TYPE_CHECKING:
    from namegen.questions.graph import Answer

FILE = "question.json"
ASKED = "asked"  # what a data set's manifest says of it, beside the model's configuration
LARGEST = 2**28  # bytes


@dataclass(frozen=True)
class Wish:
    """What is asked of a model for a data set.

    Args:
        temperature: the model is tempered before the question is asked.
        distinct: each name once.
    """

    question: Question = field(default_factory=Question)
    temperature: float = 1.0
    distinct: bool = False

    @classmethod
    def of(cls, parameters: Parameters) -> Wish:
        """What a job's parameters ask for.

        Raises:
            SettingError, CorpusError: as `Question.of`.
        """
        p = parameters
        question = Question.of(
            prefix=p.prefix,
            suffix=p.suffix,
            contains=p.contains,
            pattern=p.pattern,
            length=p.length,
            novel=p.novel,
            without=p.without or (),
            block=p.block or (),
        )
        return cls(question, p.temperature, p.distinct)

    @property
    def is_plain(self) -> bool:
        """Whether it is a plain stream."""
        return self == Wish()

    @property
    def text(self) -> str:
        """It as JSON: only what differs from a plain stream, in a fixed order."""
        plain = asdict(Wish())
        own = {name: value for name, value in asdict(self).items() if value != plain[name]}
        if "question" in own:
            own["question"] = {k: v for k, v in own["question"].items() if v != plain["question"][k]}
        return json.dumps(own, sort_keys=True)

    @property
    def key(self) -> str:
        """Eight hex digits, or nothing for a plain stream."""
        return "" if self.is_plain else hashlib.sha256(self.text.encode()).hexdigest()[:8]

    @property
    def words(self) -> list[str]:
        """Each part in words."""
        tempered = [f"at temperature {self.temperature:g}"] if self.temperature != 1 else []
        return [*tempered, *self.question.words(), *(["each name once"] if self.distinct else [])]

    def ask(self, automaton: Automaton, listed: Sequence[str]) -> Answer:
        """The automaton of the names that answer, and their share.

        Args:
            listed: the names of the model's list.

        Raises:
            SettingError: as `Model.temper` and `Model.where`.
        """
        from namegen.questions.temperature import temper  # slow to import

        return self.question.ask(temper(automaton, self.temperature), listed)

    def save(self, dataset: Location, hold: Hold = UNHELD) -> None:
        """Writes it into the record of a data set, which is held."""
        if not self.is_plain:
            data = f"{self.text}\n".encode()
            write_atomically(record_folder(dataset) / FILE, lambda temporary: temporary.write_bytes(data), hold)


def wish_of(dataset: Location) -> Wish:
    """What a data set was asked for, by the key in its folder's name.

    Raises:
        ArtifactError: if its record does not say so, or says something else.
    """
    key, path = key_of(dataset), record_folder(dataset) / FILE
    if not key:
        return Wish()
    remedy = "Run the job of the data set again, with its question"
    try:
        with open_regular(path) as file:
            wish = parsed(json.loads(file.read(LARGEST)))
            is_own = wish.key == key
    except FileNotFoundError:
        raise ArtifactError("is missing", str(path), remedy) from None
    except OSError as error:
        raise unreadable(error, path) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"is no question ({error})", str(path), remedy) from None
    if not is_own:
        raise ArtifactError("is another question than that of the folder", str(path), remedy)
    return wish


def parsed(own: Any) -> Wish:  # noqa: ANN401 - JSON
    """A wish from its JSON.

    Raises:
        ValueError, TypeError, AttributeError: if it is none.
    """
    question: dict[str, Any] = own.pop("question", {})
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in question.items()}
    return Wish(Question(**values), **own)
