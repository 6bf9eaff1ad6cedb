"""`hub doctor`: how the database is, what is wrong with it, and what to do."""

import asyncio
import os

import orjson
import typer

from hub import clock
from hub.cli.options import ConfigOption, JsonOption
from hub.config import settings
from hub.core.doctor import Facts, Finding, HubLeaseFacts, SeriesFacts, StandbyFacts, TaskFacts, size
from hub.errors import ConfigError
from hub.preflight.broker import check_broker
from hub.preflight.local import check_setup
from hub.preflight.online import database_findings
from hub.retention.run import parse_file

_TABLES_SHOWN = 8


def doctor(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Look at the database (schema, sizes, compression, upkeep, retention), at the broker and at the files.

    Exit status 1 if something is wrong.
    """
    loaded = settings.load(config, os.environ)
    facts, found = database_findings(loaded)
    policy = None
    try:
        policy = parse_file(loaded.retention.policy_file, None).version
    except ConfigError as error:
        found.insert(0, Finding(f"retention does not run, and deletes nothing: {error}"))
    # Of the policy it was said above, with what it means.
    found += [
        one for one in check_setup(loaded, clock.wall()) if not any(one.text in other.text for other in found)
    ]
    found += asyncio.run(check_broker(loaded, accounts=False))
    found.sort(key=lambda one: not one.trouble)
    if as_json:
        said = {"facts": facts, "policy": policy, "findings": found}
        typer.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
    else:
        typer.echo("\n".join(report(facts, policy, found)))
    if any(one.trouble for one in found):
        raise typer.Exit(1)


def report(facts: Facts, policy: str | None, found: list[Finding]) -> list[str]:
    """Return the report for people, line by line. `policy`: the version of that of retention, if it can be read."""
    server, schema = facts.server, facts.schema
    extension = f", TimescaleDB {schema.extension}" if schema.extension else ""
    lines = [f"PostgreSQL {server.version}{extension}, tables in the form {schema.form}"]
    lines.append(
        f"{size(server.database_bytes)}; schema at {schema.at:04d}, {schema.missing or 'no'} migrations missing"
    )
    lines.append(f"role {server.role}, {server.connections} of {server.connections_max} connections in use")
    lines += [_lease(one) for one in facts.leases]
    lines += [_standby(one) for one in facts.standbys]
    if facts.series:
        lines += ["", "series        size      chunks  compressed  ratio  oldest      newest"]
        lines += [_series(one) for one in facts.series]
    if facts.upkeep:
        lines += ["", "task                    every    last success          did"]
        lines += [_task(one) for one in facts.upkeep]
    others = list(facts.tables.items())[:_TABLES_SHOWN]
    lines += ["", "other tables: " + ", ".join(f"{name} {size(count)}" for name, count in others)]
    if facts.retention is not None:
        sealed = facts.retention.sealed_at
        when = f"last sealed {sealed:%Y-%m-%d %H:%M}" if sealed else "has not run yet"
        rules = "no policy that can be read" if policy is None else f"policy {policy}"
        lines.append(f"retention: {rules}, {when}, {facts.retention.holds} legal holds active")
    lines.append("")
    lines += [f"{'TROUBLE' if one.trouble else 'note'}: {one.text}" for one in found]
    if not any(one.trouble for one in found):
        lines.append("nothing is wrong")
    return lines


def _lease(one: HubLeaseFacts) -> str:
    if one.holder is None:
        who = "no hub is active"
    else:
        since = f" since {one.since:%Y-%m-%d %H:%M:%S}" if one.since else ""
        state = "is active" if one.held else "was active, its lease has expired"
        who = f"hub {one.holder} ({one.node}) {state}{since}, renewed {max(one.renewed_ago_s, 0):.0f} s ago"
    broker = f"; broker: {one.broker}" if one.broker else ""
    return f"lease {one.name}: {who}{broker}"


def _standby(one: StandbyFacts) -> str:
    since = f" since {one.since:%Y-%m-%d %H:%M:%S}" if one.since else ""
    return f"standby: a hub at {one.address or 'a local socket'} waits{since}"


def _series(one: SeriesFacts) -> str:
    ratio = f"{one.ratio:.1f}" if one.ratio else "-"
    days = [f"{at:%Y-%m-%d}" if at else "-" for at in (one.oldest, one.newest)]
    return f"{one.name:<13} {size(one.bytes):<9} {one.chunks:>6}  {one.compressed:>10}  {ratio:>5}  " + "  ".join(
        f"{day:<10}" for day in days
    )


def _task(one: TaskFacts) -> str:
    success = f"{one.succeeded_at:%Y-%m-%d %H:%M:%S}" if one.succeeded_at else "never"
    did = ", ".join(f"{key} {value}" for key, value in (one.did or {}).items())
    return f"{one.task:<20}  {one.every_s:>7.0f} s  {success:<20}  {did}"
