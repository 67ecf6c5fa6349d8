"""The command ``mailwicket``: one row of ``COMMANDS`` per verb.

Exit codes: 0 done; 1 it failed, or ``check`` found problems; 2 the command line or the configuration is wrong; 75 try
again later (EX_TEMPFAIL of sysexits.h: another process holds the state directory, a disk or peer refused for now).
Errors are sentences that end with the remedy; ``--debug`` adds the traceback.

Reading commands ask the running gateway over its control socket; without one they take the lock
and open the database read-only.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from gateway import config as configuration
from gateway import log, show, starter
from gateway.config import Config
from gateway.edge import control
from gateway.edge.lock import Lock, held
from gateway.errors import AlreadyRunning, ConfigError, MailwicketError, Permanent, Problem, StateError, Temporary
from gateway.settings_checks import busy_ports

OK, FAILURE, USAGE, TEMPORARY = 0, 1, 2, 75

Args = argparse.Namespace
Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One verb; ``help`` is its line in ``mailwicket --help`` and in the README."""

    name: str
    run: Callable[[Args], int]
    help: str
    arguments: tuple[Argument, ...] = ()


class Refused(MailwicketError):
    """The command line asks for what cannot be; exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every failure becomes a sentence and an exit code."""
    args = parser().parse_args(argv)
    # Until `serve` knows better: unconfigured, structlog would write into the answer on standard output.
    log.configure("console", "debug" if args.debug else "warning")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `mailwicket tickets | head`: nobody reads on, and the interpreter shall not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as e:
        if args.debug:
            raise
        tell(e)
        return exit_code(e)


_EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, USAGE),
    (Refused, USAGE),
    (AlreadyRunning, TEMPORARY),
    (Temporary, TEMPORARY),
    (Permanent, FAILURE),
    (MailwicketError, FAILURE),
    (OSError, TEMPORARY),
)


def exit_code(error: Exception) -> int:
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), FAILURE)


def tell(error: Exception) -> None:
    """The error on standard error, as one sentence or one line per problem."""
    if isinstance(error, ConfigError):
        _say(*map(str, error.problems))
    elif isinstance(error, MailwicketError):
        _say(f"mailwicket: {error}")
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        _say(
            f"mailwicket: {where}{error.strerror or error}; check that the path exists, is yours and has room"
        )
    else:
        _say(
            f"mailwicket: internal error ({type(error).__name__}: {error}); "
            "nothing that was accepted is lost; run again with --debug and report what it prints"
        )


def _say(*lines: str) -> None:
    for line in lines:
        sys.stderr.write(show.clean(line) + "\n")


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width; cutting or folding words there would only harm.
        console.width = 200
    return console


def _load(args: Args, *, first_start: bool = False) -> Config:
    return configuration.load(configuration.find(args.config), state=args.state, first_start=first_start)


def _writable(config: Config) -> Config:
    """Refuse to leave files in the state directory that its owner could not open."""
    owner = config.state.stat().st_uid if config.state.exists() else os.geteuid()
    if owner != os.geteuid():
        raise StateError(
            f"{config.state} belongs to user id {owner}, not to {os.geteuid()}; run: "
            f"sudo -u '#{owner}' {' '.join(['mailwicket', *sys.argv[1:]])}"
        )
    return config


def _ask(config: Config, verb: str, args: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The gateway's rows; without a gateway, those of the files themselves."""
    try:
        yield from control.ask(config.control_socket, verb, args)
    except control.NotRunning:
        pass
    else:
        return
    with Lock(config.state / "lock"):
        from gateway.counter import offline  # loads DuckDB, which asking need not wait for

        handlers = offline(config, verb)
        if verb not in handlers:
            raise StateError(f"`{verb}` needs a running gateway; start it with: mailwicket serve")
        yield from handlers[verb]({**args, "actor": f"operator:{os.geteuid()}"})


def _listing(verb: str, view: Callable[[Iterable[show.Row]], RenderableType], *names: str) -> Callable[[Args], int]:
    """A command that asks ``verb`` with the arguments called ``names`` and shows the rows."""

    def run(args: Args) -> int:
        asked = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
        rows = _ask(_load(args), verb, asked)
        show.show(rows, view, json_lines=args.json, console=_console())
        return OK

    return run


def _people(noun: str, view: Callable[[Iterable[show.Row]], RenderableType]) -> Callable[[Args], int]:
    """A command that lists agents, teams or organisations, or carries out a line about one."""

    def run(args: Args) -> int:
        asking = args.words in ([], ["list"])
        asked = ("people", {"noun": noun}) if asking else (noun, {"words": [noun, *args.words]})
        show.show(_ask(_load(args), *asked), view if asking else show.progress, json_lines=args.json, console=_console())
        return OK

    return run


def _held(args: Args) -> int:
    verb, number = next(((v, n) for v, n in (("release", args.release), ("drop", args.drop)) if n is not None), ("held", None))
    rows = _ask(_load(args), verb, {} if number is None else {"id": number})
    show.show(rows, show.held if verb == "held" else show.progress, json_lines=args.json, console=_console())
    return OK


def _serve(args: Args) -> int:
    config = _load(args, first_start=True)
    log.configure(config.log.format, config.log.level)
    logging.captureWarnings(capture=True)
    _writable(config)
    _say(
        f"mailwicket: {config.file or 'no configuration, the desk for trying'}; state in {config.state}",
        *(f"warning: {w}" for w in config.warnings),
    )
    from gateway.service import run

    run(config)
    return OK


def _init(args: Args) -> int:
    target = args.config or Path(configuration.FILE)
    if args.systemd:
        # Printed and nothing else, so that it can be redirected: the configuration has its own command.
        sys.stdout.write(starter.systemd_unit(target))
        return OK
    if target.exists() and not args.force:
        raise Refused(f"{target} would be overwritten; --force does so, --config names another place")
    target.write_text(starter.starter_toml(), "utf-8")
    sys.stdout.write(f"{target} written\n")
    named = "" if target == Path(configuration.FILE) else f" --config {target}"
    sys.stdout.write(f"next: edit {target}, then `mailwicket check{named}`, then `mailwicket serve{named}`\n")
    return OK


def _check(args: Args) -> int:
    problems: list[Problem]
    warnings: tuple[Problem, ...] = ()
    try:
        config = _load(args)
    except ConfigError as e:
        problems = e.problems
    else:
        problems, warnings = _machine(config), config.warnings
    if args.json:
        rows = [(p, "problem") for p in problems] + [(w, "warning") for w in warnings]
        sys.stdout.writelines(show.as_json(_problem_row(p, kind)) + "\n" for p, kind in rows)
    else:
        _say(*map(str, problems), *(f"warning: {w}" for w in warnings))
        sys.stdout.write(f"{_counted(len(problems), 'problem')}, {_counted(len(warnings), 'warning')}\n")
    return FAILURE if problems else OK


def _machine(config: Config) -> list[Problem]:
    """What only this machine can tell; a gateway that runs has its ports by right."""
    if held(config.state / "lock"):
        return []
    doors = {f"listen.{key}": getattr(config.listen, key) for key in ("smtp", "lmtp", "submission", "submission_starttls")}
    return list(busy_ports(doors, str(config.file or "(no configuration)")))


def _password(args: Args) -> int:
    from gateway.password import change

    sys.stdout.write(change(_load(args), args.login, remove=args.remove) + "\n")
    return OK


def _problem_row(problem: Problem, kind: str) -> dict[str, str]:
    return {"kind": kind, **{name: getattr(problem, name) for name in ("file", "key", "value", "remedy")}}


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _backup(args: Args) -> int:
    config = _load(args)
    rows: Iterable[dict[str, Any]]
    if args.verify:
        rows = _verified(config, args.directory)
    else:
        # The gateway has another working directory than the operator.
        rows = _ask(config, "backup", {"directory": str(args.directory.absolute())} if args.directory else {})
    show.show(rows, show.progress, json_lines=args.json, console=_console())
    return OK


def _verified(config: Config, directory: Path | None) -> Iterator[dict[str, Any]]:
    """Read a backup whole, the newest if none is named."""
    from gateway.backup import proof
    from gateway.edge.backups import MANIFEST, directories

    place = directory or config.backup.directory
    found = place if (place / MANIFEST).exists() else next(iter(directories(place)), None)
    if found is None:
        raise StateError(f"{place} holds no backup; make one with: mailwicket backup")
    manifest = proof(found.absolute())
    yield {"backup": str(found), "verified_at": manifest.verified_at, "files": len(manifest.files)}


def _backups(args: Args) -> int:
    from gateway.keeper import rows

    show.show(rows(_load(args), datetime.now(UTC)), show.backups, json_lines=args.json, console=_console())
    return OK


def _restore(args: Args) -> int:
    config = _writable(_load(args))
    from gateway.restore import restore

    rows = restore(config, args.directory and args.directory.absolute(), resend=args.resend)
    show.show(rows or (), show.progress, json_lines=args.json, console=_console())
    return OK


def _explain(args: Args) -> int:
    from gateway.explain import explain_files

    return int(explain_files(_load(args), args.files, as_json=args.json, body=args.body) or OK)


def _import(args: Args) -> int:
    from gateway.importer import Options, run

    config = _load(args, first_start=not args.dry_run)
    options = Options(
        sources=tuple(args.sources), dry_run=args.dry_run, shadow=args.shadow, subject=args.subject,
        agents=tuple(a for given in args.agents for a in given.split(",")), mailboxes=tuple(args.imap),
        queue=args.queue, password_file=args.password_file, yes=args.yes, json=args.json,
    )
    if not options.sources and not options.mailboxes:
        raise Refused("name what to import: an mbox, Maildir, folder, mail, imap://user@host/Folder, or --imap NAME")
    return run(config if args.dry_run else _writable(config), options)


def _demo(args: Args) -> int:
    from gateway import demo

    return demo.run(keep=args.keep, snapshot=args.snapshot)


def version() -> str:
    try:
        return metadata.version("mailwicket")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _version(_: Args) -> int:
    sys.stdout.write(f"mailwicket {version()}\n")
    return OK


def _argument(*names: str, **options: Any) -> Argument:
    return names, options


_JSON = _argument("--json", action="store_true", help="JSON lines for programs")

_WORDS = _argument("words", nargs="*", metavar="VERB", help='a line as at control@: add bert bert@acme.example "Bert Oh"')
# fmt: off
COMMANDS = (
    Command(name="serve", run=_serve, help="receive, decide and send mail until told to stop"),
    Command(name="demo", run=_demo, help="a desk on loopback ports, and a story played through it", arguments=(
        _argument("--keep", action="store_true", help="let the desk stand afterwards, until Ctrl-C"),
        _argument("--snapshot", type=Path, metavar="DIR", help="put what it publishes for notebooks there"),
    )),
    Command(name="init", run=_init, help="write a commented mailwicket.toml", arguments=(
        _argument("--systemd", action="store_true", help="print a systemd unit instead, for this installation"),
        _argument("--force", action="store_true", help="overwrite what is there"),
    )),
    Command(name="check", run=_check, help="tell every problem of the configuration", arguments=(_JSON,)),
    Command(name="password", run=_password, help="let an agent log in at the submission door", arguments=(
        _argument("login", metavar="LOGIN", help="the agent's login; the password is asked for, or read from standard input"),
        _argument("--remove", action="store_true", help="take the password away instead"),
    )),
    Command(name="tickets", run=_listing("tickets", show.tickets, "status", "queue"), help="list tickets",
            arguments=(
        _argument("--status", help="only of this status"), _argument("--queue", help="only of this queue"), _JSON,
    )),
    Command(name="show", run=_listing("show", show.ticket, "key"), help="one ticket, its mails and why",
            arguments=(_argument("key", metavar="ABC-1", help="ticket key"), _JSON)),
    Command(name="outbox", run=_listing("outbox", show.outbox, "all"), help="mail on its way out",
            arguments=(_argument("--all", action="store_true", help="sent mail, too"), _JSON)),
    Command(name="held", run=_held, help="mail that waits for a word: list it, let it go, or forget it", arguments=(
        _argument("--release", type=int, metavar="ID", help="do it all the same, as if its writer had proven who he is"),
        _argument("--drop", type=int, metavar="ID", help="keep it and never do it"), _JSON,
    )),
    Command(name="suppressed", run=_listing("suppressed", show.suppressed), help="dead addresses we do not write to",
            arguments=(_JSON,)),
    Command(name="revive", run=_listing("revive", show.progress, "address"), help="write to a dead address again",
            arguments=(_argument("address", metavar="ADDRESS", help="as `suppressed` lists it"), _JSON)),
    Command(name="digest", run=_listing("digest", show.progress, "login"), help="send an agent the digest now",
            arguments=(_argument("login", metavar="LOGIN", help="as in [[agent]]"), _JSON)),
    *(Command(name=noun, run=_people(noun, view), help=words, arguments=(_WORDS, _JSON)) for noun, view, words in (
        ("agent", show.agents, "list agents; add, role, address, name, language, leave"),
        ("team", show.teams, "list teams; add, remove"),
        ("organisation", show.organisations, "list customer companies; add, remove, share"),
    )),
    Command(name="spool", run=_listing("spool", show.spool), help="mail accepted and not yet decided", arguments=(_JSON,)),
    Command(name="snapshot", run=_listing("snapshot", show.progress), help="publish now for notebooks",
            arguments=(_JSON,)),
    Command(name="status", run=_listing("status", show.facts), help="how the desk is: mail, database, backups",
            arguments=(_JSON,)),
    Command(name="backup", run=_backup, help="write a verified backup", arguments=(
        _argument("directory", type=Path, metavar="DIR", nargs="?",
                  help="where to, as the gateway sees it; else the configured place"),
        _argument("--verify", action="store_true", help="read a backup again instead; the newest if none is named"),
        _JSON,
    )),
    Command(name="backups", run=_backups, help="list the backups", arguments=(_JSON,)),
    Command(name="restore", run=_restore, help="make the state directory anew from a backup", arguments=(
        _argument("directory", type=Path, metavar="DIR", nargs="?",
                  help="a directory that backup wrote; else the newest in the configured place"),
        _argument("--resend", action="store_true", help="send what was queued then once more"),
        _JSON,
    )),
    Command(name="explain", run=_explain, help="what would be decided about a mail, and why", arguments=(
        _argument("files", nargs="+", type=Path, metavar="FILE", help="a mail, as it came (.eml)"),
        _argument("--text", dest="body", action="store_const", const="text", default="mail",
                  help="FILE is the bare text of a mail: show what is new in it"),
        _argument("--html", dest="body", action="store_const", const="html", help="the same for bare HTML"),
        _JSON,
    )),
    Command(name="import", run=_import, help="make tickets of old mail; sends nothing", arguments=(
        _argument("sources", nargs="*", metavar="SOURCE", help="mbox (.gz too), Maildir, folder, mail, or imap://user@host/Folder"),
        _argument("--shadow", action="store_true",
                  help="history: tell from who wrote when which tickets were solved; without it all of them stay open"),
        _argument("--agents", action="append", default=[], metavar="ADDRESS,DOMAIN",
                  help="who answered, beside the configured agents, their domains, and Sent folders"),
        _argument("--imap", action="append", default=[], metavar="NAME", help="a configured [[mailbox]], with its Sent folder"),
        _argument("--subject", action="store_true", help="thread by subject, too, where a reply names no mail"),
        _argument("--queue", metavar="NAME", help="the queue of mail that was written to none of them; else the first"),
        _argument("--password-file", type=Path, metavar="FILE", help="the password of imap:// accounts; else you are asked"),
        _argument("--dry-run", action="store_true", help="thread, but write nothing"),
        _argument("--yes", action="store_true", help="into a desk that has tickets of its own, too"),
        _JSON,
    )),
    Command(name="version", run=_version, help="print the version"),
)
# fmt: on


def parser() -> argparse.ArgumentParser:
    """The command line of ``COMMANDS``; --config, --state and --debug may stand before or after the verb."""
    top = argparse.ArgumentParser(prog="mailwicket", description="A help desk whose only front end is mail.")
    _common(top, None)
    verbs = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        one = verbs.add_parser(command.name, help=command.help, description=command.help)
        _common(one, argparse.SUPPRESS)
        for names, options in command.arguments:
            one.add_argument(*names, **options)
        one.set_defaults(run=command.run)
    return top


def _common(one: argparse.ArgumentParser, default: Any) -> None:
    one.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="configuration; else $MAILWICKET_CONFIG, ./mailwicket.toml, or a desk for trying",
    )
    one.add_argument(
        "--state", type=Path, metavar="DIR", default=default, help="state directory, overrides the file's"
    )
    one.add_argument("--debug", action="store_true", default=default or False, help="show tracebacks")
