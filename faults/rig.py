"""Everything that one lane of rows needs, running: broker, database, hub, boards, agents, callers, and the tap.

callers ─HTTP→ hub ─proxy with the tap→ Mosquitto ←proxy of each locker─ edge-agent run ─terminal→ boards
                └→ PostgreSQL
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final

from faults.broker import Broker
from faults.cabinets import KEY_DOORS
from faults.database import Database
from faults.errors import FaultsError
from faults.history import SETTLED, Entry, History, Movement
from faults.hubs import Hub
from faults.lockers import Boards, Locker
from faults.proxy import Proxy
from faults.tap import Tap, boot_ms
from faults.waiting import until
from faults.workload import Workload

DOORS: Final = 16
GHOSTS: Final = ("ghost-1", "ghost-2", "ghost-3")
"""Lockers of the registry that no agent plays: rows speak for them."""
SPARE: Final = "spare-boards"
"""Boards for a second agent of a locker: a cloned disk is in another cabinet."""
_ONLINE_S: Final = 30.0
_REST_S: Final = 0.25
_ASKS_AT_ONCE: Final = 20
_OK: Final = 200


class Rig:
    """A lane's services. Make it with `rig`."""

    def __init__(self, directory: Path, seed: str, lockers: int, openings_per_s: float) -> None:
        self.directory = directory
        self.random = Random(seed)
        self.names = [f"box-{number:02d}" for number in range(1, lockers + 1)]
        self.database = Database(directory / "postgres")
        self.broker = Broker(directory / "mosquitto", [*self.names, *GHOSTS])
        self.boards = Boards(directory / "boards", seed, DOORS, [*self.names, SPARE])
        self.tap = Tap()
        self.hub_proxy = Proxy(self.broker.port, self.random, self.tap.watch)
        self.lockers: dict[str, Locker] = {}
        self.more_lockers: list[Locker] = []
        """Agents beside those: clones."""
        self.ghost_entries: list[Entry] = []
        """What rows have written into the ledgers of ghosts."""
        self.hub: Hub
        self.workload: Workload
        self._stack: AsyncExitStack
        self._openings_per_s = openings_per_s
        self._states: dict[str, str] = {}
        self._spare: list[tuple[int, str]] = []

    async def open(self, stack: AsyncExitStack) -> None:
        """Start everything, and wait until every locker is online."""
        self._stack = stack
        stack.push_async_callback(self.database.close)
        stack.push_async_callback(self.broker.close)
        await asyncio.gather(self.database.open(), self.broker.open())
        await self.hub_proxy.open()
        stack.push_async_callback(self.hub_proxy.close)
        self.hub = self.new_hub("hub")
        stack.push_async_callback(self.hub.close)
        for words in (
            ("key", "make", str(self.hub.key_file)),
            ("migrate",),
            ("locker", "add", "--doors", str(DOORS), *self.names, *GHOSTS),
        ):
            await asyncio.to_thread(self.hub.command, *words)
        self.boards.start()
        stack.callback(self.boards.close)
        await self.hub.start()
        for name in self.names:
            self.lockers[name] = await self.new_locker(name, self.boards.ports[name])
            self.lockers[name].start()
        doors = dict.fromkeys(self.names, DOORS - KEY_DOORS)
        self.workload = Workload(self.hub, self.random, doors, self._openings_per_s)
        stack.push_async_callback(self.workload.stop)
        await self.online(*self.names)

    def new_hub(self, name: str) -> Hub:
        """Return a hub of this rig that does not run yet; all of them share one key, broker and database."""
        return Hub(name, self.directory, self.broker, self.hub_proxy.port, self.database)

    async def new_locker(self, name: str, port: str, *, ledger: str | None = None, settings: str = "") -> Locker:
        """Return an agent of this rig that does not run yet; the rig ends it."""
        directory = self.directory / (ledger or name)
        directory.mkdir()
        proxy = await Proxy(self.broker.port, self.random).open()
        locker = Locker(
            name,
            directory,
            port=port,
            doors=DOORS,
            proxy=proxy,
            password_file=self.broker.locker_password_file,
            public_key_file=self.hub.public_key_file,
            ledger=ledger,
            settings=settings,
        )
        self._stack.push_async_callback(locker.close)
        return locker

    async def clone_of(self, locker: Locker, ledger: str) -> Locker:
        """Return a second agent of a locker, on the spare boards, that does not run yet; its disk is empty."""
        clone = await self.new_locker(locker.name, self.boards.ports[SPARE], ledger=ledger)
        self._spare.append((boot_ms(), locker.name))
        self.more_lockers.append(clone)
        return clone

    async def online(self, *names: str, seconds: float = _ONLINE_S) -> float:
        """Wait until the hub shows these lockers online and knows their doors."""

        async def shown() -> bool:
            for name in names:
                status, locker = await self.hub.ask("GET", f"/api/v1/lockers/{name}")
                if status != _OK or locker["state"] != "online" or locker["door_counts"]["unknown"]:
                    return False
                if locker["boards"]["online"] != locker["boards"]["total"]:
                    return False
            return True

        return await until(shown, seconds, f"{', '.join(names)} online, with all doors known")

    async def state_of(self, name: str) -> str:
        """Return what the hub shows of a locker."""
        status, locker = await self.hub.ask("GET", f"/api/v1/lockers/{name}")
        return str(locker["state"]) if status == _OK else f"status {status}"

    async def heal(self) -> None:
        """Take every fault away and start what is down."""
        self.hub_proxy.heal()
        for locker in self._agents():
            locker.proxy.heal()
        if self.database.process.alive:
            self.database.thaw()
        else:
            await self.database.start()
        self.broker.process.thaw()
        if not self.broker.process.alive:
            await self.broker.start()
        self.hub.process.thaw()
        if not self.hub.process.alive:
            await self.hub.start()
        for locker in self.lockers.values():
            locker.process.thaw()
            await locker.alive()
        await self.hub.ready()

    async def drained(self, seconds: float) -> float:
        """Wait until the boards are at rest, every locker has its last receipt, and no command is under way.

        Returns how long that took. Raises FaultsError with what was still under way.
        """
        left: dict[str, float] = {}

        async def at_rest() -> bool:
            left.clear()
            for locker in self._agents():
                count = await asyncio.to_thread(locker.unconfirmed)
                if count:
                    left[locker.ledger] = count
            left["commands in flight"] = await self.hub.metric("lockerhub_commands_in_flight")
            left["rows waiting"] = await self.hub.metric("lockerhub_batch_queue_rows", 'table="event"')
            doors = await self._open_doors()
            left["doors open"] = doors
            return not any(left.values())

        async def for_a_while() -> bool:
            if not await at_rest():
                return False
            await asyncio.sleep(_REST_S)
            return await at_rest()

        try:
            return await until(for_a_while, seconds, "everything at rest")
        except FaultsError as error:
            under_way = ", ".join(f"{name}: {count:g}" for name, count in left.items() if count)
            raise FaultsError(f"{error}; under way: {under_way}") from None

    async def history(self) -> History:
        """Return all that is known up to now."""
        entries = await self._entries()
        await self._ask_states()
        stored = await self.database.stored()
        return History(
            entries=entries,
            later=await self._entries(),
            stored=stored,
            declared=await self.database.declared(),
            quarantined=await self.database.quarantined(),
            commands=list(self.tap.commands),
            states=dict(self._states),
            told=dict(self.workload.told),
            pulses=self._movements("pulse"),
            opened=self._movements("opened"),
            closed=self._movements("closed"),
        )

    async def _entries(self) -> list[Entry]:
        found = [*self.ghost_entries]
        for locker in self._agents():
            found += await asyncio.to_thread(locker.entries)
        return found

    def _agents(self) -> list[Locker]:
        return [*self.lockers.values(), *self.more_lockers]

    def _movements(self, what: str) -> list[Movement]:
        found = self.boards.movements(what, self.names)
        for movement in self.boards.movements(what, [SPARE]):
            # Whoever has had the spare boards since then; before the first clone nobody has.
            names = [name for since_t, name in self._spare if since_t <= movement.t]
            found.append(movement._replace(locker=names[-1] if names else SPARE))
        return found

    async def _open_doors(self) -> int:
        movements = [
            (m.locker, m.door, m.t, what)
            for what in ("opened", "closed")
            for m in self.boards.movements(what, [*self.names, SPARE])
        ]
        last = {(locker, door): what for locker, door, _, what in sorted(movements, key=lambda m: m[2])}
        return sum(what == "opened" for what in last.values())

    async def _ask_states(self) -> None:
        """Ask the API for every command that is not known to have ended."""
        slots = asyncio.Semaphore(_ASKS_AT_ONCE)

        async def ask(command: str) -> None:
            async with slots:
                status, body = await self.hub.ask("GET", f"/api/v1/commands/{command}")
            if status == _OK:
                self._states[command] = body["state"]
            elif command in self.workload.told:
                # The hub forgot it, but told somebody before.
                self._states[command] = self.workload.told[command]

        open_ones = {c.id for c in self.tap.commands if self._states.get(c.id) not in SETTLED}
        await asyncio.gather(*(ask(command) for command in open_ones))


@asynccontextmanager
async def rig(seed: str, *, lockers: int, openings_per_s: float) -> AsyncIterator[Rig]:
    """Run a rig for as long as the block runs, in a temporary directory (TMPDIR says where)."""
    with tempfile.TemporaryDirectory(prefix="lockerhub-faults-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        # PostgreSQL and Mosquitto run as users of their own, who must be able to pass.
        await asyncio.to_thread(directory.chmod, 0o711)
        async with AsyncExitStack() as stack:
            running = Rig(directory, seed, lockers, openings_per_s)
            await running.open(stack)
            yield running
