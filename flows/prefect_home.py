"""The folder in which Prefect keeps its files, or a temporary one where that cannot be used.

Service users and containers often have a home folder that is missing or read-only, or none at all.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path

from namegen.errors import SettingError

ROOM = 16_000_000  # bytes: a new database and its log take 5 MB


def spare_folder() -> Path | None:
    """A folder that can be made in case of need, and is removed when this process ends; None if there is no room."""
    try:
        folder = Path(tempfile.gettempdir()) / f"namegen-{uuid.uuid4().hex}"
    except FileNotFoundError:
        return None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def settle_home(spare: Path | None, say: Callable[[str], object]) -> None:
    """Makes Prefect's folder, or has Prefect use `spare`, and says so. Profiles are read from where they are.

    Raises:
        SettingError: if neither can be written.
    """
    if not os.environ.get("HOME"):  # which counts as missing when it is empty
        os.environ.pop("HOME", None)
    try:
        user = Path.home()
    except RuntimeError:  # nor does the system know this user
        user = None
        os.environ["HOME"] = str(_made(spare, "HOME is not set"))
    own = os.environ.get("PREFECT_HOME")
    home = Path(own).expanduser() if own else user and user / ".prefect"
    why = _trouble(home, parents=bool(own)) if home else "HOME is not set, and the system does not know this user"
    if not why:
        return
    what = f"{home or 'PREFECT_HOME'} cannot be used ({why})"
    spare = _made(spare, what)
    os.environ["PREFECT_HOME"] = str(spare)
    profiles = home and home / "profiles.toml"
    if profiles and os.access(profiles, os.R_OK):
        os.environ.setdefault("PREFECT_PROFILES_PATH", str(profiles))
    if user and not os.access(user, os.W_OK):
        os.environ.setdefault("MPLCONFIGDIR", str(spare))  # Matplotlib would make one itself, and say so at length
    say(f"{what}; this run keeps Prefect's files in a temporary folder")


def _trouble(folder: Path, *, parents: bool) -> str:
    """Why no file can be written in `folder`, which is made if it is missing; empty if one can."""
    try:
        folder.mkdir(mode=0o700, parents=parents, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return error.strerror or str(error)
    return "" if free >= ROOM else f"only {free / 1e6:.1f} MB are free"


def _made(spare: Path | None, what: str) -> Path:
    try:
        if spare is None:
            raise FileNotFoundError("there is no temporary folder")
        spare.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        remedy = "Set TMPDIR or PREFECT_HOME to a folder that can be written"
        raise SettingError(f"{what}, nor can a temporary folder ({error.strerror or error})", remedy=remedy) from None
    return spare
