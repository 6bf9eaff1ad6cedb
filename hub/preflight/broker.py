"""Ask the broker what the hub's accounts may do, and whether it lets strangers in.

Connecting with a hub's account throws out the hub that is connected with it, so accounts are only tried while no
hub runs. What is published is sent to a locker that cannot exist, or says what is true: that no hub is there.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID, uuid4

from hub.config.certificates import trusting
from hub.config.secrets import read_secret
from hub.config.settings import Config
from hub.core import probe
from hub.core.doctor import Finding
from hub.core.packets import BrokenStreamError, Packet, split
from hub.core.probe import Answers, ProbeAccount
from wire import __version__
from wire.messages import PROTOCOL, HubState, encode
from wire.topics import HUB_STATE, Channel, subscription, topic_of

_ANSWER_S: Final = 5.0
_READ_BYTES: Final = 65_536
_NOBODY: Final = "hub-check-config"
"""The locker that test messages go to: no locker may be called so."""
_CONNACK, _PUBACK, _SUBACK = 0x20, 0x40, 0x90


async def check_broker(config: Config, *, accounts: bool) -> list[Finding]:
    """Return what is wrong with the broker, worst first. Raises ConfigError if a file cannot be used.

    Args:
        config: says where it is, and who the hub is there.
        accounts: whether the hub's accounts are tried too: no hub may run.
    """
    where = f"{config.mqtt.host}:{config.mqtt.port}"
    stranger = ProbeAccount(None, None, f"check-{uuid4().hex[:16]}")
    try:
        found = list(_of_stranger(await _ask(config, stranger), where))
        for account in _accounts(config) if accounts and not found else ():
            found += _of_account(await _ask(config, account), account, where)
    except ssl.SSLError as error:
        return [
            Finding(f"mqtt: TLS with {where} fails: {error.reason or error}: see mqtt.tls_ca_file and the name")
        ]
    except TimeoutError:
        return [Finding(f"mqtt: {where} does not answer as an MQTT broker within {_ANSWER_S:g} s")]
    except (OSError, BrokenStreamError) as error:
        return [Finding(f"mqtt: {where} cannot be reached: {_why(error)}: see mqtt.host and mqtt.port")]
    return found


def _of_stranger(answers: Answers, where: str) -> Iterator[Finding]:
    if answers.connack is None:
        yield Finding(
            f"mqtt: what answers at {where} is no MQTT broker: see mqtt.host, mqtt.port and mqtt.tls_ca_file"
        )
    if answers.connack == 0:
        yield Finding(
            f"mqtt: {where} lets clients in without an account, so that anybody can speak as a locker or the hub: "
            "allow_anonymous false, a password_file and an acl_file, as mosquitto/mosquitto.conf has them"
        )


def _of_account(answers: Answers, account: ProbeAccount, where: str) -> Iterator[Finding]:
    name = account.username
    if answers.connack != 0:
        # Mosquitto says "not authorised" where a password is wrong.
        why = "it closes the connection" if answers.connack is None else probe.reason(answers.connack)
        yield Finding(
            f"mqtt: {where} refuses {name}: {why}: is the password of mqtt.password_file right, and is there such "
            "an account? mosquitto/accounts makes it"
        )
        return
    rule = "`topic readwrite lh/v1/#`" if account.publish else "`topic read lh/v1/+/+/telemetry`"
    for verb, answered in (("subscribe to", answers.suback), ("publish to", answers.puback)):
        for topic, code in answered.items():
            if code >= probe.REFUSED:
                yield Finding(
                    f"mqtt: {name} may not {verb} {topic} ({probe.reason(code)}): give it {rule} in the broker's "
                    "ACL, as mosquitto/acl has it"
                )
    silent = [topic for topic in account.subscribe if topic not in answers.suback]
    silent += [topic for topic, _ in account.publish if topic not in answers.puback]
    if silent:
        yield Finding(f"mqtt: {where} does not answer {name} about {', '.join(silent)}: look at the broker's log")


def _accounts(config: Config) -> Iterator[ProbeAccount]:
    mqtt = config.mqtt
    password = None if mqtt.password_file is None else read_secret(mqtt.password_file, "mqtt.password_file")
    gone = encode(HubState(v=PROTOCOL, id=UUID(int=0), online=False, version=__version__, spread_s=0.0))
    events = tuple(subscription(channel) for channel in (Channel.EVENTS, Channel.PRESENCE))
    nothing = ((topic_of(_NOBODY, Channel.RECEIPTS), b""),)
    orders = ((HUB_STATE, gone), (topic_of(_NOBODY, Channel.COMMANDS), b""))
    yield ProbeAccount(mqtt.ingest_username, password, mqtt.ingest_username, events, nothing)
    # Its session has what lockers sent while no hub ran.
    yield ProbeAccount(
        mqtt.telemetry_username, password, mqtt.telemetry_username, (subscription(Channel.TELEMETRY),),
        session_s=mqtt.telemetry_session_s,
    )  # fmt: skip
    yield ProbeAccount(
        mqtt.command_username, password, mqtt.command_username, (subscription(Channel.REPLIES),), orders
    )


async def _ask(config: Config, account: ProbeAccount) -> Answers:
    async with asyncio.timeout(_ANSWER_S), _connection(config) as (reader, writer):
        writer.write(probe.connect(account))
        answers = Answers()
        packets = _packets(reader)
        async for packet in packets:
            if packet.first == _CONNACK:
                answers.connack = packet.body[1]
            break
        if answers.connack != 0:
            return answers
        asked: dict[int, tuple[dict[str, int], str]] = {}
        for number, topic in enumerate(account.subscribe, 1):
            asked[number] = (answers.suback, topic)
            writer.write(probe.subscribe(number, topic))
        for number, (topic, payload) in enumerate(account.publish, len(asked) + 1):
            asked[number] = (answers.puback, topic)
            writer.write(probe.publish(number, topic, payload))
        if asked:
            async for packet in packets:
                if packet.first in {_SUBACK, _PUBACK}:
                    number = int.from_bytes(packet.body[:2], "big")
                    book, topic = asked.pop(number, ({}, ""))
                    # A PUBACK of success may end after the number.
                    book[topic] = packet.body[-1] if packet.first == _SUBACK else (*packet.body, 0)[2]
                    if not asked:
                        break
        writer.write(probe.DISCONNECT)
        return answers


async def _packets(reader: asyncio.StreamReader) -> AsyncIterator[Packet]:
    data = b""
    while piece := await reader.read(_READ_BYTES):
        data += piece
        found, length = split(data, properties=True)
        data = data[length:]
        for packet in found:
            if isinstance(packet, Packet):
                yield packet


@asynccontextmanager
async def _connection(config: Config) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    mqtt = config.mqtt
    context = None if mqtt.tls_ca_file is None else trusting(mqtt.tls_ca_file, "mqtt")
    reader, writer = await asyncio.open_connection(mqtt.host, mqtt.port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await writer.wait_closed()


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return str(error)
