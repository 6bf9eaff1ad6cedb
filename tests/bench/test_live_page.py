"""From the events that were sent and the marks of a page to how long each took."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bench.live_load import Doors
from bench.live_page import Paints
from bench.mqtt_packets import Parser, read_publish
from wire.messages import decode_events


def test_an_event_is_painted_by_the_first_mark_of_its_locker_from_then_on() -> None:
    paints = Paints.read(1000.0, [(10.0, ["a"]), (60.0, ["a", "b"]), (90.0, ["b"])])
    assert paints.of_locker == {"a": [1010.0, 1060.0], "b": [1060.0, 1090.0]}
    sent = [("a", 1000.0), ("a", 1010.0), ("a", 1011.0), ("b", 1070.0)]
    assert paints.delays_ms(sent) == ([10.0, 0.0, 49.0, 20.0], 0)


def test_what_was_never_painted_is_counted_and_makes_no_figure_better() -> None:
    paints = Paints.read(0.0, [(5.0, ["a"])])
    assert paints.delays_ms([("a", 6.0), ("c", 0.0), ("a", 1.0)]) == ([4.0], 2)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sets(st.sampled_from("abc"), min_size=1))),
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 60))),
)
def test_against_a_plain_search(marks: list[tuple[int, set[str]]], sent: list[tuple[str, int]]) -> None:
    marks.sort(key=lambda one: one[0])
    paints = Paints.read(0.0, [(float(at), sorted(ids)) for at, ids in marks])
    expected = [
        min((at for at, ids in marks if locker in ids and at >= event), default=None) for locker, event in sent
    ]
    delays, missing = paints.delays_ms((locker, float(at)) for locker, at in sent)
    assert delays == [at - event for at, (_, event) in zip(expected, sent, strict=True) if at is not None]
    assert missing == expected.count(None)


class Line:
    """Stands where a locker's connection would."""

    def __init__(self, name: str) -> None:
        self.name, self.boot, self.unacknowledged, self.packets = name, "5f0a4e9e58a54f578f0c1f9a7d0d2a11", 0, 0

    def next_packet_id(self) -> int:
        self.packets += 1
        return self.packets


class Network:
    """Keeps what is sent, and ends the load after so many messages."""

    def __init__(self, names: list[str], messages: int) -> None:
        self.lockers = [Line(name) for name in names]
        self.sent: list[tuple[str, bytes]] = []
        self.doors: Doors | None = None
        self._messages = messages

    def send(self, locker: Line, data: bytes) -> None:
        self.sent.append((locker.name, data))

    def turn(self, told: object, timeout_s: float) -> None:
        del told, timeout_s
        if len(self.sent) >= self._messages and self.doors is not None:
            self.doors.going = False


def test_each_event_changes_what_is_shown_of_its_locker() -> None:
    network = Network(["a", "b"], 8)
    doors = network.doors = Doors(network)  # type: ignore[arg-type]
    doors.close_all()
    assert [name for name, _ in network.sent] == ["a", "b"]
    doors.move(1e6)
    told: dict[str, list[tuple[int, str, int | None]]] = {"a": [], "b": []}
    for name, data in network.sent:
        (packet,) = Parser().feed(data)
        batch = decode_events(read_publish(packet).payload)
        told[name].append((batch.first, batch.events[0].kind, batch.events[0].door))
    for name, door in (("a", 1), ("b", 2)):
        assert told[name][:4] == [
            (1, "snapshot", None), (2, "door.opened", door), (3, "door.closed", door), (4, "door.opened", door)
        ]  # fmt: skip
    assert len(doors.sent) == len(network.sent) - 2
    assert json.loads(json.dumps(doors.sent))[0][0] == 0
