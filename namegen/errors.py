"""The errors that the user can act on.

Every error has three parts: what happened, where (a file and, for text, a line), and what to do about it. Its text is
always a single line without control characters, whatever the file or path contains.
"""

from __future__ import annotations

import errno

# Errors of input and output that may be gone when the same is tried again.
# Not errors that last until somebody acts: a full disk, a missing path, missing permissions.
TRANSIENT = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.ECONNABORTED,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EINTR,
    errno.EIO,
    errno.ENETDOWN,
    errno.ENETRESET,
    errno.ENETUNREACH,
    errno.ENOLCK,
    errno.EPIPE,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


class NamegenError(Exception):
    """An error that the user can fix.

    Args:
        what: the rule that was broken, with the values that broke it.
        where: the file, with the line if it has one; empty if the error is about an argument.
        remedy: what to do about it.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where, remedy)  # all three, so that the error can be pickled
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return printable(f"{text}. {self.remedy}." if self.remedy else f"{text}.")


class SettingError(NamegenError):
    """A setting is out of range, or names something that does not exist."""


class NothingAnswersError(SettingError):
    """No name of a model answers a question."""


class CorpusError(NamegenError):
    """A names file cannot be read, or breaks a rule of the corpus."""


class ModelError(NamegenError):
    """A table is not a table of probabilities, or cannot be turned into an automaton."""


class ArtifactError(NamegenError):
    """A file that namegen wrote is missing, cut short, altered, or in a newer format."""


class NewerFormatError(ArtifactError):
    """A file was written by a newer version of namegen."""


class PassingError(NamegenError):
    """The input is fine, and the same command may succeed later: its exit status is 1, and not 2."""


class DeviceError(PassingError):
    """A device is out of memory. The input is fine, and the job may succeed on another device."""


class OutputError(NamegenError):
    """The output folder cannot be written."""


class LeaseError(OutputError, PassingError):
    """Another job may have taken over a folder in an object store. The input is fine: run the job again."""


class WorkersError(OutputError, PassingError):
    """The workers of an engine could not make some parts."""


class ReadError(ArtifactError, PassingError):
    """A disk or a store failed to read a file, which may be sound."""


def unreadable(error: OSError, path: object, what: str = "cannot be read") -> ArtifactError:
    """The error for a file or folder that a disk or store failed to read, with what to check."""
    where = str(error.filename or path)
    remedy = (
        "Check the credentials, its permissions and the network"
        if "://" in where
        else "Check its permissions and the disk"
    )
    kind = ReadError if error.errno in TRANSIENT else ArtifactError
    return kind(f"{what} ({error.strerror or error})", where, remedy)


def printable(text: str) -> str:
    """`text` with every unprintable character (control, escape, line break) replaced by its escape sequence."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def encodable(text: str) -> str:
    r"""`text` with each byte of a path that is not UTF-8 replaced by its escape sequence: JSON cannot hold it.

    >>> print(encodable("caf\udce9"))
    caf\udce9
    """
    return text.encode(errors="backslashreplace").decode()
