"""What is exact about all names that a model can draw: figures, and the likeliest names, as text for people."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from namegen.automaton.automaton import Automaton
from namegen.errors import NothingAnswersError, SettingError, printable
from namegen.questions.question import Question

if TYPE_CHECKING:
    import pyarrow as pa

    from namegen.questions.figures import Figures

FILE = "about.txt"
SHOWN = 20  # names
LIKELIEST, LIKELIEST_NEW = "the most probable names", "the most probable that are new"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exact:
    """Exact figures of all names, and the likeliest of them.

    Args:
        novel: the share of names that are not on the list; None if it is not known.
        likeliest: tables of `name` and `log_prob` by their titles.
    """

    figures: Figures
    novel: float | None
    likeliest: dict[str, pa.Table]

    @classmethod
    def of(cls, automaton: Automaton, listed: Sequence[str] | None) -> Exact:
        """Computed from an automaton.

        Args:
            listed: the names of the list that it was fitted to; None if nobody knows them.
        """
        from namegen.questions.count import names_up_to  # slow to import
        from namegen.questions.figures import figures
        from namegen.questions.top import top

        novel, chosen = None, {LIKELIEST: automaton}
        if listed is not None:
            try:
                answer = Question(novel=True).ask(automaton, listed)
                novel, chosen[LIKELIEST_NEW] = answer.probability, answer.automaton
            except NothingAnswersError:
                novel = 0.0
            except SettingError as error:  # it takes too many states: a model is no worse for that
                log.info("The share of new names is not known: %s", error)
        best = {title: top(each, min(SHOWN, names_up_to(each, SHOWN))) for title, each in chosen.items()}
        return cls(figures(automaton), novel, best)

    def text(self, model: str) -> str:
        """It in lines."""
        return "\n".join(self._lines(model)) + "\n"

    def _lines(self, model: str) -> Iterator[str]:
        yield f"All names that {model} can draw, computed from its automaton"
        yield ""
        yield f"expected length           {self.figures.expected_length:.3f} characters"
        yield f"entropy                   {self.figures.entropy:.3f} nats"
        if self.novel is not None:
            yield f"not on the list           {100 * self.novel:.3f} %"
        yield f"two draws are equal in    1 of {1 / self.figures.equal:,.0f}"
        for title, table in self.likeliest.items():
            yield ""
            yield f"{title}, and their log-probabilities in nats"
            for name, log_prob in zip(table["name"].to_pylist(), table["log_prob"].to_pylist(), strict=True):
                yield f"  {log_prob:8.3f}  {printable(name) or '(empty)'}"
