"""What nobody honest says: forged orders, another locker's name, broken messages, another version's words."""

import json
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

from faults.broker import INJECTOR
from faults.client import Client, client
from faults.errors import FaultsError
from faults.ghost import Ghost
from faults.rig import Rig
from faults.row import Run, row
from faults.tap import boot_ms
from faults.waiting import until
from hub.keys import CommandKey, load_key, make_key
from wire.errors import WireError
from wire.messages import PROTOCOL, Command, decode_events, decode_reply, encode
from wire.salvage import salvage_events
from wire.topics import Channel, parse, topic_of

_ANSWER_S: Final = 15.0
_DEADLINE_MS: Final = 5000
_PACE: Final = 200
_POISON: Final = (
    b"", b"{", b"[]", b"null", b"0", b"\xff\xfe", b'{"v":1}', b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 5000,
    b'{"v":1,"boot":"x","t":1e400,"at":0,"clock":"synced"}', b'"\\ud800"', b"x" * 250_000,
    b'{"v":18446744073709551616}',
)  # fmt: skip
_SPOILED: Final = (
    {"t": -1, "at": 0, "kind": "door.opened"},
    {"kind": 5},
    "no event",
    {"t": 1, "at": 2**63, "kind": "a.b"},
)


@row(23, "forged orders: another locker's, altered, old boot, expired, retained", "X, each one answered")
async def forge(run: Run) -> None:
    """Publish them with the hub's own rights at the broker: the signature and the locker's judgement are left."""
    rig = run.rig
    key = load_key(rig.hub.key_file)
    other = make_key(rig.directory / f"other-{uuid4()}.pem")
    async with client(rig.broker.port, INJECTOR, rig.broker.password) as injector:
        await injector.subscribe("lh/v1/+/+/replies")
        for number in run.times(quick=1, full=30):
            name, stranger = (rig.names[(number + step) % len(rig.names)] for step in (0, 1))
            await run.traffic(1)
            boot = _boot(rig, name)
            orders = _forged(key, other, name, stranger, boot)
            for payload, _ in orders.values():
                await injector.publish(topic_of(name, Channel.COMMANDS), payload)
            run.injected(len(orders))
            for what, (payload, reason) in orders.items():
                await _rejected(run, injector, _id(payload), reason, what)
        await _retained(run, injector, key, rig.names[0])


@row(24, "one locker's account used for another one", "denied, the other stays")
async def impersonate(run: Run) -> None:
    """Publish, listen and connect as another locker; try wrong passwords."""
    rig, broker = run.rig, run.rig.broker
    victim = rig.lockers[rig.names[0]]
    for _ in run.times(quick=1, full=20):
        await rig.online(victim.name)
        connections = victim.proxy.accepted
        async with AsyncExitStack() as stack:
            thief = await Ghost(rig, "ghost-1").open(stack)
            await thief.client.subscribe("#")
            await thief.client.subscribe(topic_of(victim.name, Channel.COMMANDS))
            forged = {
                **thief.up(),
                "epoch": str(uuid4()),
                "first": 1,
                "events": [thief.event("door.forced", door=1)],
            }
            for channel in (Channel.EVENTS, Channel.REPLIES, Channel.PRESENCE, Channel.COMMANDS, Channel.RECEIPTS):
                # Denied is not told at MQTT 3.1.1: what counts is that it arrives nowhere.
                await thief.client.publish(topic_of(victim.name, channel), json.dumps(forged).encode())
            await thief.client.acknowledged()
            run.injected(7)
            await run.traffic(4)
            foreign = [topic for topic, _ in thief.client.received if not _own(topic, thief.name)]
            run.expect(not foreign, f"{thief.name} hears what is not its own: {foreign[:3]}")
        # With the other one's client id: the broker takes the account's name instead.
        async with client(broker.port, "ghost-1", broker.locker_password, client_id=victim.name):
            run.injected()
            await run.traffic(2)
        for username, password in ((victim.name, "wrong"), (victim.name, ""), ("nobody", broker.locker_password)):
            try:
                async with client(broker.port, username, password):
                    run.expect(holds=False, sentence=f"the broker let {username!r} in with {password!r}")
            except FaultsError:
                run.injected()
        run.expect(victim.proxy.accepted == connections, f"{victim.name} was thrown off the broker")
        run.expect(await rig.state_of(victim.name) == "online", f"{victim.name} is not online any more")


@row(26, "broken messages, and a broken event among good ones", "N, no crash")
async def fuzz(run: Run) -> None:
    """Mutations of what lockers truly said, on every topic of a locker; then a spoiled event in a batch."""
    rig = run.rig
    lives = rig.hub.process.starts
    refused = await rig.hub.metric("lockerhub_intake_quarantined_total")
    async with AsyncExitStack() as stack:
        fuzzer = await Ghost(rig, "ghost-3").open(stack)
        corpus = [p for p in rig.tap.captured["down"] if _channel(p.topic) not in {None, Channel.COMMANDS}]
        for number in run.times(quick=1500, full=150_000):
            if number < len(_POISON) * 4:
                channel = list(Channel)[number % 4]
                payload = _POISON[number // 4]
            else:
                captured = run.random.choice(corpus)
                known = _channel(captured.topic)
                assert known is not None
                channel, payload = known, _mutated(captured.payload, run.random)
            if channel is Channel.EVENTS and _is_history(payload):
                continue
            await fuzzer.say(channel, payload)
            run.injected()
            if number % _PACE == _PACE - 1:
                await fuzzer.client.acknowledged()
        await fuzzer.client.acknowledged()
    async with AsyncExitStack() as stack:
        ghost = await Ghost(rig, "ghost-2").open(stack)
        for spoiled in _SPOILED:
            good = [ghost.event("tamper.on", door=door) for door in (1, 2, 3)]
            batch = ghost.batch([good[0], spoiled, good[1], good[2]], spoiled=frozenset({1}))
            await ghost.say(Channel.EVENTS, batch)
            run.injected()
            try:
                await ghost.receipted()
            except FaultsError as error:
                run.expect(holds=False, sentence=f"a spoiled event holds up its ledger: {error}")
                break
    await run.traffic(3)
    run.expect(rig.hub.process.alive and rig.hub.process.starts == lives, "the hub did not survive")
    run.notes["messages_refused"] = round(await rig.hub.metric("lockerhub_intake_quarantined_total") - refused)
    run.expect(run.notes["messages_refused"], "the hub refused none of the broken messages")


@row(30, "an older and a newer locker: fields and kinds that this hub does not know", "N")
async def other_version(run: Run) -> None:
    """What a newer one says beyond this version is kept or ignored; what an older one lacks is not missed."""
    rig = run.rig
    for _ in run.times(quick=1, full=10):
        async with AsyncExitStack() as stack:
            ghost = await Ghost(rig, "ghost-1").open(stack)
            for change in (
                {},
                {"kind": "weather.changed", "data": {"wind": [1, {"from": "north"}]}},
                {"kind": "hinge"},
                {"colour": "blue", "nested": {"a": [None, True]}},
            ):
                event = {**ghost.event("tamper.off", door=1), **change}
                message = ghost.batch([event])
                await ghost.say(Channel.EVENTS, {**message, "future": {"x": 1}, "prio": 7})
                run.injected()
                await ghost.receipted()
            quarantined = await rig.database.count("quarantine")
            await ghost.say(
                Channel.EVENTS, {**ghost.up(), "v": 2, "epoch": str(uuid4()), "first": 1, "events": [ghost.event()]}
            )
            await ghost.say(Channel.TELEMETRY, {**ghost.up(), "v": 2, "samples": [{"t": 1}]})
            run.injected(2)
            limit = quarantined + 2

            async def kept(limit: int = limit) -> bool:
                return await rig.database.count("quarantine") >= limit

            await until(kept, _ANSWER_S, "messages of another protocol version are in quarantine")
            await ghost.say(Channel.EVENTS, ghost.batch([ghost.event("tamper.on")]))
            await ghost.receipted()


def _forged(
    key: CommandKey, other: CommandKey, name: str, stranger: str, boot: UUID
) -> dict[str, tuple[bytes, str]]:
    """Return orders that no locker may obey: payload, and the reason that it must answer with."""

    def order(**more: Any) -> Command:  # noqa: ANN401 - Command's own fields
        fields: dict[str, Any] = {
            "v": PROTOCOL, "id": uuid4(), "locker": name, "kind": "open", "door": 1, "boot": boot,
            "not_after": boot_ms() + _DEADLINE_MS, **more,
        }  # fmt: skip
        return Command(**fields)

    def altered(**more: Any) -> bytes:  # noqa: ANN401 - Command's own fields
        fields = json.loads(encode(key.sign(order())))
        return json.dumps({**fields, **more}).encode()

    bad = "bad_signature"
    return {
        "another locker's order": (encode(key.sign(order(locker=stranger))), "wrong_locker"),
        "another door": (altered(door=2), bad),
        "a later deadline": (altered(not_after=boot_ms() + 60_000), bad),
        "another id": (altered(id=str(uuid4())), bad),
        "another kind": (altered(kind="restart"), bad),
        "another key": (encode(other.sign(order())), bad),
        "no signature": (encode(order()), bad),
        "an old boot": (encode(key.sign(order(boot=uuid4()))), "wrong_boot"),
        "an old deadline": (encode(key.sign(order(not_after=boot_ms() - 1))), "expired"),
        "a door that is not there": (encode(key.sign(order(door=99))), "unknown_door"),
    }


async def _retained(run: Run, injector: Client, key: CommandKey, name: str) -> None:
    """Leave a valid order at the broker, for a locker that is away: it comes as a retained one, and is refused."""
    rig = run.rig
    locker = rig.lockers[name]
    order = Command(
        v=PROTOCOL,
        id=uuid4(),
        locker=name,
        kind="open",
        door=1,
        boot=_boot(rig, name),
        not_after=boot_ms() + 30_000,
    )
    topic = topic_of(name, Channel.COMMANDS)
    locker.proxy.refusing = True
    await locker.proxy.drop(reset=True)
    await injector.publish(topic, encode(key.sign(order)), retain=True)
    await injector.acknowledged()
    locker.proxy.heal()
    run.injected()
    await _rejected(run, injector, order.id, "retained", "a retained order")
    await injector.publish(topic, b"", retain=True)
    await injector.acknowledged()
    await rig.online(name)


async def _rejected(run: Run, injector: Client, command: UUID, reason: str, what: str) -> None:
    def answered() -> bool:
        return command in _replies(injector)

    try:
        await until(answered, _ANSWER_S, f"{what} is answered")
    except FaultsError as error:
        run.expect(holds=False, sentence=str(error))
        return
    said = _replies(injector)[command]
    run.expect(said == f"rejected {reason}", f"{what} was answered with {said}, not with rejected {reason}")


def _replies(injector: Client) -> dict[UUID, str]:
    found = {}
    for _, payload in injector.received:
        try:
            reply = decode_reply(payload)
        except WireError:
            continue
        found[reply.id] = f"{reply.state.value} {reply.reason or ''}".strip()
    return found


def _boot(rig: Rig, name: str) -> UUID:
    """Return the boot that a locker last named in anything that it said."""
    for published in reversed(rig.tap.captured["down"]):
        if f"/{name}/" in published.topic:
            try:
                return UUID(json.loads(published.payload)["boot"])
            except (ValueError, KeyError, TypeError):
                continue
    raise FaultsError(f"{name} has said nothing yet")


def _id(payload: bytes) -> UUID:
    return UUID(json.loads(payload)["id"])


def _own(topic: str, name: str) -> bool:
    return f"/{name}/" in topic or topic == "lh/v1/hub/state"


def _channel(topic: str) -> Channel | None:
    try:
        return parse(topic)[1]
    except WireError:
        return None


def _mutated(payload: bytes, random: Random) -> bytes:
    data = bytearray(payload)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data[place : place + 1] = random.randbytes(1)
            case 1:
                del data[place : place + random.randint(1, 20)]
            case 2:
                data[place:place] = random.choice(
                    (b"\0", b"{", b"]", b'"', b"-", b"9" * 20, b"\xff", b"null", b"1e999")
                )
            case 3:
                data[place:place] = data[place : place + random.randint(1, 60)]
            case _:
                del data[place:]
    return bytes(data)


def _is_history(payload: bytes) -> bool:
    """Say whether a locker could have said it: then it is stored, rightly."""
    for read in (decode_events, salvage_events):
        try:
            read(payload)
        except WireError:
            continue
        return True
    return False
