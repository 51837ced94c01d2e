"""The command line of the job, and all that happens before its flow is imported.

Arguments and inputs are checked first, in a fraction of a second and without Prefect, so that a mistake neither
starts a server nor leaves a failed run behind. Then the temporary server is started, and the imports overlap it.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from engines import check_engine
from namegen.automaton.automaton import Automaton
from namegen.corpus.corpus import read_corpus, split
from namegen.device import resolve_device
from namegen.errors import NamegenError, printable
from namegen.outputs.dataset import check_stream, dataset_folder
from namegen.storage.files import location
from parameters import PARAMETERS, check_output, chosen_preset, find_model
from temporary_server import TemporaryServer

# torch's threads wait for each other by spinning, by default for milliseconds: beside other work on the same cores
# that made a training take four times as long. Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# numba loads a package that ends the process with an escape code on stdout
os.environ.setdefault("NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING", "1")

DESCRIPTION = "Learns from a list of names and makes new ones, with the probability of each, as Parquet."
EXAMPLES = """\
examples:
  python flows/generate.py --count 100000               a hundred thousand names, under outputs/
  python flows/generate.py --count 1000000 --seed 7     a million of another stream
  python flows/generate.py --names my.txt --holdout 0   from your own list, all of it
  namegen verify outputs                                is all that was made as it should be?

Logs and progress go to stderr. The evaluation goes to stdout and, as the last line, the data set's folder:
  python -c "import polars; print(polars.read_parquet('outputs/names/**/*.parquet'))"

The same arguments make the same bytes. Run again, the job finds that nothing is left to do; run again with a
larger --count, it adds to what is there. It runs on the Prefect server of PREFECT_API_URL or of the active
profile; without one, it starts a temporary server that ends with it.

exit status: 0 done, 1 failed, 2 bad input or usage, with one line on stderr that says what to do,
130 interrupted, 143 terminated; the same command goes on from there
"""


class Parser(argparse.ArgumentParser):
    """Unlike its parent it answers a mistake with one line, not with the usage."""

    def error(self, message: str) -> NoReturn:
        """Ends the process with `message`."""
        fail(f"{message} (see --help)")


def fail(message: str) -> NoReturn:
    """Ends the process with exit code 2 and one line on stderr."""
    print(f"generate.py: error: {printable(message)}", file=sys.stderr)
    raise SystemExit(2)


def parse(argv: list[str]) -> dict[str, Any]:
    """The parameters of the flow, each of its type and in its bounds; ends the process where one is not."""
    parser = Parser(
        prog="generate.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    adapters = {name: TypeAdapter(kind) for name, (kind, _) in PARAMETERS.items()}
    for name, (kind, default) in PARAMETERS.items():
        schema = adapters[name].json_schema()
        choices = schema.get("enum")
        metavar = "{" + ",".join(choices) + "}" if choices else name.upper()
        text = kind.__metadata__[-1].description + ("" if default is None else f" (default: {default})")
        if schema.get("type") == "boolean":
            parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=default, help=text)
        else:
            parser.add_argument(f"--{name}", default=default, metavar=metavar, help=text)
    given = vars(parser.parse_args(argv))
    parameters = {}
    for name, value in given.items():
        try:
            parameters[name] = adapters[name].validate_python(value)
        except ValidationError as error:
            rule = error.errors()[0]["msg"].partition(", unable")[0].removeprefix("Input ")
            if error.errors()[0]["type"] == "string_pattern_mismatch":
                rule = "has control characters in it"
            fail(f"argument --{name}: {value!r} {rule}")
    return parameters


def check(parameters: dict[str, Any]) -> Automaton | None:
    """Looks for whatever can be seen to be wrong before anything is made.

    Returns the automaton from which names will be drawn, if it is there already and names are missing.

    Raises:
        NamegenError: for names that cannot be read, or are too few or too short for a setting, a device that is not
            there, an output folder that cannot be written or has no room, or what lies there already and is altered
            or newer.
    """
    p = parameters
    check_engine(p["engine"], p["address"])
    corpus = read_corpus(p["names"])
    split(corpus, p["holdout"])
    preset = chosen_preset(corpus, p["model"], p["preset"], p["order"], p["states"])
    if p["device"] != "auto":
        resolve_device(p["device"])
    model = find_model(corpus, p["model"], preset, p["holdout"], p["output"])
    manifest = check_output(corpus, model, p["count"], p["seed"], p["output"])
    automaton = model.load()
    if not automaton:
        return None
    check_stream(
        dataset_folder(location(p["output"]), model.path.name, p["seed"]), manifest, automaton.stream(p["seed"])
    )
    return None if manifest and manifest.rows >= p["count"] else automaton


def begin(argv: list[str]) -> tuple[dict[str, Any], TemporaryServer | None, Automaton | None]:
    """Parses and checks the arguments; then starts the temporary server, unless PREFECT_API_URL names one.

    Returns the parameters, that server, and what `check` does.
    """
    parameters = parse(argv)
    try:
        automaton = check(parameters)
    except NamegenError as error:
        fail(str(error))
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect would report its use; a batch job should not, unasked
    if os.environ.get("PREFECT_API_URL"):
        return parameters, None, automaton
    for name in ("NO_PROXY", "no_proxy"):  # a proxy could not reach a server of this machine
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1")))
    return parameters, TemporaryServer(), automaton


def without_traceback(record: logging.LogRecord) -> bool:
    """Takes the traceback from an error that says itself what to do."""
    if record.exc_info and isinstance(record.exc_info[1], NamegenError):
        record.exc_info = None
    return True


def is_no_link(record: logging.LogRecord) -> bool:
    """Passes over Prefect's link to its interface: the temporary server has none."""
    return not record.getMessage().startswith("View at ")


@contextmanager
def prefect_api(server: TemporaryServer | None) -> Iterator[None]:
    """Prefect on `server`, or on the one that Prefect is set up for, where there is one."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # A profile or a prefect.toml can name a server too, and only Prefect knows how to read them: by now it has.
    if server is None or PREFECT_API_URL.value():
        if server:
            server.stop()
        with get_client(sync_client=True) as client:
            if error := client.api_healthcheck():
                remedy = "Start it, or unset PREFECT_API_URL to have a temporary one"
                raise ConnectionError(f"the Prefect server at {client.api_url} does not answer ({error}). {remedy}.")
        yield
        return
    logging.getLogger("prefect.flow_runs").addFilter(is_no_link)
    # Nobody watches the heartbeats of a server that ends with the run, and waiting for the last takes a second.
    with temporary_settings({PREFECT_API_URL: server.url(), PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
