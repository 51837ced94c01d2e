"""The command line of the job: what happens before its flow is imported, and what is printed at its end.

Arguments and inputs are checked first, in a fraction of a second and without Prefect, so that a mistake neither starts
a server nor leaves a failed run behind. Then the temporary server is started, and the imports overlap its start.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from io import TextIOWrapper
from threading import Thread
from typing import Any, NoReturn

import click

from engines import Engine, check_engine
from namegen import pipeline
from namegen.commands.main import describe
from namegen.device import cores, sampling_device
from namegen.errors import NamegenError, PassingError, SettingError, printable
from namegen.outputs.dataset import PART_ROWS
from namegen.outputs.layout import part_number
from namegen.parameters import DEFAULT, Parameters, checked, description, types
from namegen.pipeline import Made, Plan
from namegen.process import numba_settings, without_numba_s_colours
from namegen.storage.files import entries
from network import settle_network
from prefect_home import settle_home, spare_folder
from temporary_server import TemporaryServer

# torch's threads spin while they wait for each other, by default for milliseconds. Beside other work on the same cores
# that made a training take four times as long. The variable is read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
without_numba_s_colours()

HELP = """Learns from a list of names and makes new ones, with the probability of each, as Parquet.

\b
examples:
  python flows/generate.py --count 100000               a hundred thousand names, under outputs/
  python flows/generate.py --count 1000000 --seed 7     a million names of another seed
  python flows/generate.py --names my.txt --holdout 0   from your own list, all of it
  namegen verify outputs                                is everything as it was made?

Logs and progress go to stderr. The evaluation goes to stdout and, as the last line, the data set's folder:

\b
  python -c "import polars; print(polars.read_parquet('outputs/names/**/*.parquet'))"

The same arguments give the same bytes. Run again, the job finds that there is nothing to do; run again with a larger
--count, it adds to what is there. It runs on the Prefect server of PREFECT_API_URL or of the active profile. Without
one, it starts a temporary server that ends with it.

\b
exit status: 0 done; 1 failed; 2 bad input or usage, with one line on stderr that says what to do;
130 interrupted; 143 terminated. The same command resumes the job.
"""


@dataclass(frozen=True)
class Beginning:
    """What is known of a job before its flow is imported.

    Args:
        server: the temporary server; None if PREFECT_API_URL names another.
        plan: as of now; None if it is not known.
    """

    parameters: Parameters
    server: TemporaryServer | None = None
    plan: Plan | None = None


class _Checked(click.ParamType[Any]):
    """The type of a parameter, as `Parameters` states it."""

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter
        self.name = parameter

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401, ARG002
        try:
            return checked(self.parameter, value)
        except SettingError as error:
            raise click.UsageError(f"argument --{error.what}", ctx) from None


def _options() -> Iterator[click.Option]:
    for name, kind in types().items():
        default, choices = getattr(DEFAULT, name), getattr(kind.__origin__, "__args__", ())
        text = description(name) + ("" if default is None else f" (default: {default})")
        if kind.__origin__ is bool:
            option = name.replace("_", "-")
            text = f"{description(name)} (default: {'on' if default else 'off'})"
            yield click.Option([f"--{option}/--no-{option}"], default=default, help=text)
        else:
            is_choice = choices and all(isinstance(choice, str) for choice in choices)
            metavar = "{" + ",".join(choices) + "}" if is_choice else name.upper()
            yield click.Option([f"--{name}"], type=_Checked(name), default=default, metavar=metavar, help=text)


COMMAND = click.Command(
    "generate.py",
    params=list(_options()),
    help=HELP,
    callback=Parameters,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


def fail(message: str) -> NoReturn:
    """Ends the process with exit code 2 and one line on stderr."""
    print(f"generate.py: error: {printable(message)}", file=sys.stderr)
    raise SystemExit(2)


def parse(argv: list[str]) -> Parameters:
    """The parameters that arguments stand for; ends the process if one is wrong, or help was asked for."""
    try:
        parameters = COMMAND.main(argv, prog_name="generate.py", standalone_mode=False)
    except click.ClickException as error:
        fail(describe(error, "generate.py")[1])
    if not isinstance(parameters, Parameters):  # the help was printed
        raise SystemExit(0)
    return parameters


def say(message: str) -> None:
    """Prints a line on stderr."""
    print(f"generate.py: {printable(message)}", file=sys.stderr, flush=True)


def lose(error: PassingError) -> NoReturn:
    """Ends the process at once, from any thread. Whatever is finished stays, as if it had been killed."""
    say(f"failed: {error}")
    os._exit(1)


def begin(argv: list[str]) -> Beginning:
    """Checks the arguments and the surroundings; then starts the temporary server, unless PREFECT_API_URL names one."""
    parameters = parse(argv)
    try:
        check_engine(Engine(parameters.engine, parameters.address, parameters.workers or cores()))
        plan = pipeline.plan(parameters)
        if numba_settings():
            import_module("namegen.automaton.compiled")  # which refuses those that are wrong
        settle_network()
        spare = spare_folder()
        settle_home(spare, say)
    except PassingError as error:
        print(f"generate.py: failed: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except NamegenError as error:
        fail(str(error))
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Prefect would report its use; a batch job should not, unasked
    if os.environ.get("PREFECT_API_URL"):
        return Beginning(parameters, None, plan)
    return Beginning(parameters, TemporaryServer(spare, say, lose), plan)


def finish(beginning: Beginning, flow: Callable[..., Made]) -> int:
    """Runs the flow, and prints what came of it; the exit code of the process."""
    if beginning.plan:
        prepare(beginning.plan, beginning.parameters)
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(without_traceback)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with prefect_api(beginning.server):
            made = flow(**beginning.parameters.model_dump())
        show(made)
    except PassingError as error:
        print(f"generate.py: failed: {error}", file=sys.stderr)
        return 1
    except NamegenError as error:
        fail(str(error))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ending takes a moment, and nothing is left to interrupt
        print("generate.py: interrupted; the same command resumes the job", file=sys.stderr)
        return 130
    except Terminated:
        print("generate.py: terminated; the same command resumes the job", file=sys.stderr)
        return 143
    except OSError as error:  # a full disk, for example; anything else is a bug, and shows where
        print(f"generate.py: failed: {printable(str(error))}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def show(made: Made) -> None:
    """Prints the evaluation, the quality of the names, and where the model and the names are."""
    from namegen.report import text

    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for terminals without ±
    tables = made.model.tables("evaluation", "quality")
    print(text.evaluation_text(tables["evaluation"]), end="\n\n")
    print(text.quality_text(tables["quality"]))
    print(f"\n{made.model.path}\n{made.names}", flush=True)


def prepare(plan: Plan, parameters: Parameters) -> None:
    """Starts what the job will need, if it will only draw: workers, compiled code, and tables, while Prefect starts."""
    automaton = plan.automaton
    if not automaton or plan.is_complete or not plan.wish.is_plain:
        return
    try:
        there = {part_number(name) for name in entries(plan.names)}
    except OSError:
        there = set()
    if not there.issuperset(range(plan.count // PART_ROWS)):  # otherwise no part goes to a worker
        Engine(parameters.engine, parameters.address, plan.workers).start()

    def lay_out() -> None:
        from namegen.sampling.stream import sampler_of

        with suppress(Exception):  # the task that draws will meet the same error, and report it
            if sampling_device(parameters.device) == "cpu":
                sampler_of(automaton, "cpu")

    Thread(target=lay_out).start()


class Terminated(BaseException):
    """The process was asked to end, with SIGTERM."""


def terminate(*_: object) -> NoReturn:
    """A signal's handler. While a flow runs Prefect has its own, and calls this one when it has told the server."""
    raise Terminated


def without_traceback(record: logging.LogRecord) -> bool:
    """Removes the traceback of an error that itself says what to do."""
    if record.exc_info and isinstance(record.exc_info[1], NamegenError):
        record.exc_info = None
    return True


def is_not_a_link(record: logging.LogRecord) -> bool:
    """Drops Prefect's link to its interface, which the temporary server does not have."""
    return not record.getMessage().startswith("View at ")


@contextmanager
def prefect_api(server: TemporaryServer | None) -> Iterator[None]:
    """Prefect on `server`, or on the one that Prefect is configured for, if there is one."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # A profile or a prefect.toml can name a server too. Only Prefect can read them, and by now it has.
    if server is None or PREFECT_API_URL.value():
        if server:
            server.stop()
        with get_client(sync_client=True) as client:
            if error := client.api_healthcheck():
                remedy = "Start it, or unset PREFECT_API_URL to get a temporary one"
                raise ConnectionError(f"the Prefect server at {client.api_url} does not answer ({error}). {remedy}.")
        yield
        return
    logging.getLogger("prefect.flow_runs").addFilter(is_not_a_link)
    # Nobody watches the heartbeats of a server that ends with the run, and waiting for the last one takes a second.
    with temporary_settings({PREFECT_API_URL: server.url(), PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield
