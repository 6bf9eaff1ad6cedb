"""Tell lockers what is committed, and what to send again.

At QoS 0: a receipt is cumulative, and a locker that misses one sends its batch again and gets the next.
"""

from hub.core.ledger import Key
from hub.errors import LinkError
from hub.metrics import Metrics
from hub.mqtt.connection import MqttConnection
from hub.mqtt.tap import SENT, UNSENT, MessageTap
from wire.messages import PROTOCOL, Receipt, encode
from wire.topics import Channel, topic_of


class ReceiptPublisher:
    """Sends receipts. One that cannot go out now is not kept: the locker asks again by sending again."""

    def __init__(self, metrics: Metrics, tap: MessageTap) -> None:
        self._tap = tap
        self._link: MqttConnection | None = None
        self._upto = metrics.receipts.labels("upto")
        self._expected = metrics.receipts.labels("expected")
        self._fork = metrics.receipts.labels("fork")
        self._unsent = metrics.receipts.labels("unsent")

    def use(self, link: MqttConnection) -> None:
        """Send over this link."""
        self._link = link

    def upto(self, key: Key, seq: int, chain: str | None) -> None:
        """Tell a locker that all up to `seq` is committed, of the history whose chain is `chain` there."""
        self._send(key, Receipt(v=PROTOCOL, epoch=key[1], upto=seq, chain=chain))
        self._upto.inc()

    def expected(self, key: Key, seq: int) -> None:
        """Ask a locker to send again from `seq`."""
        self._send(key, Receipt(v=PROTOCOL, epoch=key[1], expected=seq))
        self._expected.inc()

    def fork(self, key: Key) -> None:
        """Tell a locker that the numbers of its epoch are taken by another history."""
        self._send(key, Receipt(v=PROTOCOL, epoch=key[1], fork=True))
        self._fork.inc()

    def _send(self, key: Key, receipt: Receipt) -> None:
        assert self._link is not None, "the composition root gives the link"  # noqa: S101
        topic, payload = topic_of(key[0], Channel.RECEIPTS), encode(receipt)
        verdict = SENT
        try:
            self._link.publish(topic, payload, qos=0)
        except LinkError:
            self._unsent.inc()
            verdict = UNSENT
        if self._tap.watched:
            self._tap.note("out", topic, payload, verdict)
