"""Faults of the network between broker and locker."""

import asyncio
from typing import Final

from bench.mqtt_packets import publish
from faults.broker import INJECTOR
from faults.cable import Cable
from faults.client import client
from faults.lockers import KEEPALIVE_S, Locker
from faults.proxy import Proxy, Toxics
from faults.row import Run, row
from faults.waiting import until
from wire.topics import Channel, topic_of

NOTICED_S_MAX: Final = KEEPALIVE_S * 1.5 + 6.0
"""The broker cuts off at 1.5 keepalives, looking every few seconds; the hub then has the will."""
_COPIES: Final = 100


@row(15, "network away: cable pulled, connections refused", "N D, opens refused")
async def partition(run: Run) -> None:
    """Pull the cable of one locker (a network namespace of its own), refuse another one's connections."""
    rig = run.rig
    for number in run.times(quick=1, full=10):
        await _refuse(run, rig.names[(number + 1) % len(rig.names)], 12 if run.full else 2)
    name = rig.names[0]
    cable = Cable()
    if not cable.lay():
        run.notes["cable"] = "not pulled: it needs root and ip"
        return
    locker = rig.lockers[name]
    command, environment = list(locker.process.command), dict(locker.process.environment)
    proxy = await Proxy(rig.broker.port, rig.random, host=cable.near).open()
    try:
        await locker.stopped()
        locker.process.command = [*cable.prefix, *command]
        locker.process.environment |= {"EDGE_MQTT__HOST": cable.near, "EDGE_MQTT__PORT": str(proxy.port)}
        locker.start()
        await rig.online(name)
        for _ in run.times(quick=1, full=5):
            await run.traffic(2)
            cable.pull()
            run.injected()
            await _offline(run, name)
            await _refused(run, name)
            cable.plug()
            await rig.online(name)
        await locker.stopped()
    finally:
        locker.process.command, locker.process.environment = command, environment
        await locker.stopped()
        await proxy.close()
        cable.take_away()
        locker.start()


@row(16, "half-open connection: no byte passes, no end comes", "L U")
async def half_open(run: Run) -> None:
    """Silence both ways while the connection stays: keepalive notices, an opening under way is never late."""
    rig = run.rig
    for number in run.times(quick=1, full=15):
        name = rig.names[number % len(rig.names)]
        locker = rig.lockers[name]
        await run.traffic(2)
        locker.proxy.up.silent = locker.proxy.down.silent = True
        run.injected()
        place = rig.workload.free_door(name)
        if place is not None:
            answer = await rig.workload.open(*place, patience_s=0)
            run.expect(answer.state != "succeeded", "an opening succeeded over a dead connection")
        await _offline(run, name)
        locker.proxy.heal()
        await rig.online(name)


@row(17, "300 ms latency, stalls, slices, resets inside a packet", "N D L")
async def bad_line(run: Run) -> None:
    """Every locker on a bad line, then every line reset in the middle of a packet, each way."""
    rig = run.rig
    began = run.now()
    for _ in run.times(quick=1, full=10):
        for locker in rig.lockers.values():
            for direction in ("up", "down"):
                _set(
                    locker,
                    direction,
                    Toxics(latency_ms=120, jitter_ms=60, stall_share=0.05, stall_ms=800, slice_bytes=40),
                )
        run.injected(2 * len(rig.lockers))
        await run.traffic(12 if not run.full else 60)
        for direction in ("up", "down"):
            for locker in rig.lockers.values():
                locker.proxy.reset_within_next(direction)
            run.injected(len(rig.lockers))
            await run.traffic(2)
            await rig.online(*rig.names)
    run.latency(began)
    for locker in rig.lockers.values():
        locker.proxy.heal()


@row(22, "every message 100 times, out of order, and again much later", "D X")
async def replay(run: Run) -> None:
    """Copies on the line both ways; then what was captured before, shuffled, by somebody with valid credentials."""
    rig = run.rig
    copying = rig.lockers[rig.names[0]]
    _set(copying, "up", Toxics(copies=_COPIES))
    _set(copying, "down", Toxics(copies=_COPIES))
    place = rig.workload.free_door(copying.name)
    if place is not None:
        await rig.workload.open(*place)
    await run.traffic(6)
    run.injected(_COPIES)
    copying.proxy.heal()
    await _replay_captured(run, 3000 if run.full else 300)
    await _replay_in_session(run, rig.lockers[rig.names[1]])
    await run.traffic(4)


async def _refuse(run: Run, name: str, seconds: float) -> None:
    rig = run.rig
    locker = rig.lockers[name]
    await run.traffic(2)
    locker.proxy.refusing = True
    await locker.proxy.drop(reset=True)
    run.injected()
    await _offline(run, name)
    await _refused(run, name)
    await asyncio.sleep(seconds)
    locker.proxy.heal()
    await rig.online(name)


async def _offline(run: Run, name: str) -> None:
    async def shown() -> bool:
        return await run.rig.state_of(name) == "offline"

    took = await until(shown, NOTICED_S_MAX, f"{name} is shown offline")
    run.notes["noticed_s_max"] = round(max(took, run.notes.get("noticed_s_max", 0.0)), 2)


async def _refused(run: Run, name: str) -> None:
    place = run.rig.workload.free_door(name)
    if place is not None:
        answer = await run.rig.workload.open(*place, patience_s=0)
        run.expect(answer.state == "locker_offline", f"an opening at an offline locker ended as {answer.state}")


def _set(locker: Locker, direction: str, toxics: Toxics) -> None:
    if direction == "up":
        locker.proxy.up = toxics
    else:
        locker.proxy.down = toxics


async def _replay_captured(run: Run, count: int) -> None:
    """Send again, shuffled, what lockers said and what the hub ordered, from the beginning of this rig on."""
    rig = run.rig
    said = [p for p in rig.tap.captured["down"] if not p.topic.endswith("/state")]
    ordered = [p for p in rig.tap.captured["up"] if p.topic.endswith(f"/{Channel.COMMANDS.value}")]
    chosen = run.random.sample(said, min(count, len(said))) + run.random.sample(ordered, min(count, len(ordered)))
    run.random.shuffle(chosen)
    async with client(rig.broker.port, INJECTOR, rig.broker.password) as injector:
        for place, published in enumerate(chosen):
            await injector.publish(published.topic, published.payload)
            if place % 50 == 49:  # noqa: PLR2004 - a pace that a broker takes
                await injector.acknowledged()
        await injector.acknowledged()
    run.injected(len(chosen))


async def _replay_in_session(run: Run, locker: Locker) -> None:
    """Put old batches into the locker's own session: valid credentials, valid boot, all of it stored before."""
    topic = topic_of(locker.name, Channel.EVENTS)
    old = [p for p in run.rig.tap.captured["down"] if p.topic == topic][:20]
    for number, published in enumerate(old):
        locker.proxy.put_in("up", publish(published.topic, published.payload, 65_000 + number))
    run.injected(len(old))
