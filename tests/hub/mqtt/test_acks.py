"""Acknowledgements: each once, in any order, many in one write, none on another connection."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from hub.mqtt.acks import AckTracker, IncomingMessage


class Line:
    """A connection whose loop the test turns."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.soon: list[Callable[[], None]] = []
        self.acknowledgements = AckTracker(self.written.append, self.soon.append)

    def deliver(self, number: int) -> IncomingMessage:
        return IncomingMessage("t", b"", False, False, number.to_bytes(2, "big"), self.acknowledgements)  # noqa: FBT003

    def turn(self) -> None:
        due, self.soon[:] = list(self.soon), []
        for call in due:
            call()


@given(st.permutations(range(1, 9)), st.sets(st.integers(0, 8)))
def test_each_is_acknowledged_once_in_the_order_of_settling(order: list[int], turns: set[int]) -> None:
    line = Line()
    deliveries = {number: line.deliver(number) for number in range(1, 9)}
    assert line.acknowledgements.owed == 8
    for place, number in enumerate(order):
        deliveries[number].acknowledge()
        deliveries[number].acknowledge()
        if place in turns:
            line.turn()
            assert line.acknowledgements.owed == 7 - place
    line.turn()
    assert b"".join(line.written) == b"".join(b"\x40\x02\x00%c" % number for number in order)
    assert len(line.written) == len(turns & set(range(8)) | {7})


def test_a_connection_that_is_gone_is_not_written_to() -> None:
    line = Line()
    before, after = line.deliver(1), line.deliver(2)
    before.acknowledge()
    line.acknowledgements.close()
    after.acknowledge()
    line.turn()
    assert line.written == []
    assert line.acknowledgements.owed == 0


def test_a_message_at_qos_0_needs_no_acknowledgement() -> None:
    IncomingMessage("t", b"").acknowledge()
