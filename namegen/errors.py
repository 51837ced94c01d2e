"""What can go wrong, in words a person can act on.

Every error carries three values: what happened, where (a file and, for text, a line), and the remedy. Its text
is always a single line without control characters, whatever a file or path had in it.
"""

from __future__ import annotations


class NamegenError(Exception):
    """An error that a person can mend.

    Args:
        what: the rule that was broken, with the values that broke it.
        where: the file, with its line where there is one; empty for an argument.
        remedy: what to do about it.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where, remedy)  # all three, so that the error survives pickling
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return printable(f"{text}. {self.remedy}." if self.remedy else f"{text}.")


class SettingError(NamegenError):
    """A setting is out of its range, or names something that is not there."""


class CorpusError(NamegenError):
    """A names file cannot be read, or breaks a rule of the corpus."""


class ModelError(NamegenError):
    """A table of probabilities is not one, or cannot be turned into an automaton."""


class ArtifactError(NamegenError):
    """A file that namegen once wrote is missing, cut short, altered, or of a newer format."""


class DeviceError(NamegenError):
    """A device has no more memory: no fault of the input, and the job may pass on another device."""


class OutputError(NamegenError):
    """The output folder cannot be written."""


class LeaseError(OutputError):
    """A folder in a store may be another job's by now. Nothing is wrong with the input: the job may be run again."""


def unreadable(error: OSError, path: object, what: str = "cannot be read") -> ArtifactError:
    """What a disk or a store said of a file or folder that it does not give, and what to look at."""
    where = str(error.filename or path)
    remedy = (
        "Check the credentials, its permissions and the network"
        if "://" in where
        else "Check its permissions and the disk"
    )
    return ArtifactError(f"{what} ({error.strerror or error})", where, remedy)


def printable(text: str) -> str:
    """`text` with every character that would not print (controls, escapes, line breaks) as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
