"""Prepared answers: what ``#macro name`` puts into a mail. The writer's own words stand above it, his own commands win."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.actor import Refused
from gateway.core.command_line import parse_action
from gateway.core.command_table import REPEATED, SORTS
from gateway.core.command_value import choice
from gateway.core.model import Command
from gateway.core.policy import Agent, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded:
    """A mail's commands and text with its macros in place; ``text`` is '' if they add none."""

    commands: tuple[Command, ...]
    text: str


def expand(commands: tuple[Command, ...], customer: str, ticket: str, agent: Agent, policy: Policy) -> Expanded:
    """``customer`` is the requester's name, ``ticket`` its key. Raises Refused if there is no such macro."""
    mine = {SORTS.get(c.name, c.name) for c in commands if c.name not in REPEATED}
    out: list[Command] = []
    texts: list[str] = []
    for command in commands:
        out.append(command)
        if command.name != "macro":
            continue
        if not policy.macros:
            raise Refused("this desk has no macros")
        try:
            name = choice({m.name: () for m in policy.macros}, command.args)
        except ValueError as error:
            raise Refused(str(error)) from None
        macro = next(m for m in policy.macros if m.name == name)
        more = (parse_action(line, policy.fields, by_rule=False) for line in macro.then)
        out += [c for c in more if SORTS.get(c.name, c.name) not in mine]
        texts.append(filled(macro.text, customer, ticket, agent))
    return Expanded(commands=tuple(out), text="\n\n".join(t for t in texts if t))


def filled(text: str, customer: str, ticket: str, agent: Agent) -> str:
    """Once, from left to right: a customer who calls himself ``{agent}`` is not read again."""
    values = {"customer": customer, "agent": agent.name, "ticket": ticket}
    parts = []
    for n, part in enumerate(text.strip().split("{")):
        name, brace, rest = part.partition("}")
        known = n > 0 and brace and name in values
        parts.append(values[name] + rest if known else ("{" if n else "") + part)
    return "".join(parts)
