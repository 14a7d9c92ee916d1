"""The command line application, and the one place where errors become words and exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import signal
import sys
import threading
import traceback
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from edge_cli import (
    bench_cmd,
    build_cmd,
    cache_cmd,
    calibrate_cmd,
    classify_cmd,
    convert_cmd,
    data_cmd,
    doctor_cmd,
    eval_cmd,
    export_cmd,
    inspect_cmd,
    models_cmd,
    record_cmd,
    run_cmd,
    sources_cmd,
    verify_cmd,
)
from edge_cli.help_pages import HELP_OPTIONS, show_flags_as_flags
from models.errors import EdgeclsError, OutputError
from models.plain_text import plain, shortened

EXIT_BUG = 70
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_DEBUG = "--debug"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _abandon_stdout() -> None:
    """The interpreter flushes stdout once more at its end; let that go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _PlainLines(logging.Formatter):
    """A log that does not steer the terminal; only a traceback takes several lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return plain(super().formatMessage(record))


class _Group(TyperGroup):
    """Gives Ctrl-C and a closed pipe their customary exit codes, and no message."""

    def make_context(self, *words: Any, **settings: Any) -> Any:
        show_flags_as_flags(self)
        return super().make_context(*words, **settings)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except BrokenPipeError:
            _abandon_stdout()
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        except SystemExit as ended:
            if not isinstance(ended.__context__, BrokenPipeError):
                raise
            raise typer.Exit(EXIT_BROKEN_PIPE) from None  # Rich caught it and ends with 1
        except OSError as error:
            if isinstance(error, EdgeclsError) or error.errno not in _FULL:
                raise
            _abandon_stdout()
            raise OutputError(
                f"The disk is full: results cannot be written ({error.strerror}).",
                hint="Free some space, or send the results elsewhere.",
            ) from error
        return result


def _show_version(asked: bool) -> None:
    if asked:
        from models.version import edgecls_version

        typer.echo(f"edgecls {edgecls_version()}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(_DEBUG, help="Show the traceback of an error (anywhere on the line).")
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose", "-v", count=True, show_default=False, help="Log to stderr; -vv logs more."
        ),
    ] = 0,
) -> None:
    """Put a video classifier trained in PaddlePaddle to work on an edge box.

    Example: edgecls run --source demo
    """
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PlainLines("%(levelname).1s %(name)s: %(message)s"))
    logging.basicConfig(level=levels[min(verbose, 2)], handlers=[handler])


def build_app() -> typer.Typer:
    """The application with all its commands, in the order in which the help lists them."""
    app = typer.Typer(
        cls=_Group,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": HELP_OPTIONS},
    )
    app.callback()(_global_options)
    app.command("convert")(convert_cmd.convert)
    app.command("run")(run_cmd.run)
    app.command("classify")(classify_cmd.classify)
    app.command("record")(record_cmd.record)
    app.command("sources")(sources_cmd.sources)
    app.command("doctor")(doctor_cmd.doctor)
    app.command("inspect")(inspect_cmd.inspect)
    app.command("verify")(verify_cmd.verify)
    app.command("bench")(bench_cmd.bench)
    app.command("eval")(eval_cmd.evaluate)
    app.command("calibrate")(calibrate_cmd.calibrate)
    app.command("export")(export_cmd.export)
    app.command("build")(build_cmd.build)
    app.add_typer(cache_cmd.app, name="cache")
    app.add_typer(data_cmd.app, name="data")
    app.add_typer(models_cmd.app, name="models")
    return app


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        arguments: What follows the program name; None for that of this process, which then ends.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    if arguments is None and isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files that are not UTF-8 go into results as the bytes that they are.
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except SystemExit as ended:
        if arguments is None:
            _end_with_threads(ended.code)
        raise


def _end_with_threads(code: int | str | None) -> None:
    """End the process here if threads are left behind in native code.

    A device that does not answer, or an engine that opens a model, cannot be called back. When the
    interpreter ends under such a thread, its C++ code may abort the process, which then seems to
    have crashed.
    """
    main_thread = threading.main_thread()
    if all(one is main_thread or not one.daemon for one in threading.enumerate()):
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _run(given: list[str]) -> NoReturn:
    debug = _DEBUG in given
    try:
        build_app()(args=[word for word in given if word != _DEBUG], prog_name="edgecls")
    except EdgeclsError as error:
        if debug:
            traceback.print_exc()
        report(error)
        sys.exit(error.exit_code)
    except MemoryError as error:
        if debug:
            traceback.print_exc()
        reason = f": {error}" if str(error) else ""
        report(
            EdgeclsError(
                f"There is not enough memory for this{reason}.",
                hint="Close other programs, or use a model of fewer frames or smaller pictures.",
            )
        )
        sys.exit(EdgeclsError.exit_code)
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            _say(f"error: this is a bug in edgecls: {type(error).__name__}: {error}")
            _say("hint: run the same command with --debug and report the traceback")
        sys.exit(EXIT_BUG)
    sys.exit(0)


def report(error: EdgeclsError) -> None:
    """Write an error to stderr as one line, and its hint as another."""
    _say(f"error: {error.message}")
    if error.hint:
        _say(f"hint: {error.hint}")


def _say(line: str) -> None:
    """Write one line; what files told may not steer the terminal."""
    sys.stderr.write(shortened(plain(line)) + "\n")
