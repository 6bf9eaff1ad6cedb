"""`hub notify`: who is told of alarms, and whether it works."""

import asyncio
from typing import Annotated

import orjson
import typer

from hub.cli.options import ConfigOption, JsonOption, fail, load
from hub.config.notify import EmailChannel, WebhookChannel
from hub.config.settings import Config
from hub.core.notify.retry import DeliveryVerdict
from hub.notify.notifier import TEST_TIMEOUT_S, sender_of, test_message

notify_app = typer.Typer(help="Who is told of alarms, and whether it works.", no_args_is_help=True)


@notify_app.command("list")
def notify_list(*, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the channels of the configuration."""
    loaded = load(config)
    rows = [
        {
            "name": one.name,
            "kind": "email" if isinstance(one, EmailChannel) else "webhook",
            "to": sender_of(one, loaded.http.public_url).to,
            "severities": one.severities,
            "sites": one.sites,
        }
        for one in loaded.notify.channel
    ]
    if as_json:
        typer.echo(orjson.dumps(rows).decode())
        return
    for row in rows:
        which = ", ".join(row["severities"]) or "all alarms"
        where = f" of {', '.join(row['sites'])}" if row["sites"] else ""
        typer.echo(f"{row['name']:<16}  {row['kind']:<8}  {row['to']}  {which}{where}")


@notify_app.command("test")
def notify_test(
    name: Annotated[str, typer.Argument(help="The channel's name.")], *, config: ConfigOption = None
) -> None:
    """Send a test over a channel, without the hub; status 1 unless it is taken."""
    loaded = load(config)
    channel = _find(loaded, name)
    sender = sender_of(channel, loaded.http.public_url)

    async def send() -> tuple[bool, str]:
        try:
            async with asyncio.timeout(TEST_TIMEOUT_S):
                outcome = await sender.send(test_message(name))
        except TimeoutError:
            return False, f"no answer within {TEST_TIMEOUT_S:g} s"
        return outcome.verdict is DeliveryVerdict.SENT, outcome.detail

    ok, detail = asyncio.run(send())
    if not ok:
        fail(f"{name} did not take it: {detail}")
    typer.echo(f"{name} took it: {detail}")


def _find(config: Config, name: str) -> EmailChannel | WebhookChannel:
    found = next((one for one in config.notify.channel if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in config.notify.channel) or "none is configured"
        fail(f"there is no channel {name!r}; known: {known}")
    return found
