"""What the notifier keeps while the database takes nothing: bounded in bytes, for each channel."""

from pathlib import Path

from hub.config.notify import NotifySettings, WebhookChannel
from hub.config.settings import Config
from hub.core.alarms.alarm import Severity
from hub.masking import Secret
from hub.metrics import Metrics
from hub.notify.notifier import Notifier
from hub.store.database import Database
from tests.hub.core.notify.alarms import change
from tests.hub.notify.receivers import secret

BYTES_MAX = 4000


async def test_a_channel_keeps_no_more_bytes_than_its_share(tmp_path: Path) -> None:
    key = secret(tmp_path)
    receiver = Secret("https://receiver.example/")
    every = WebhookChannel(name="every", url=receiver, secret_file=key, flood_max=1000)
    critical = WebhookChannel(name="critical", url=receiver, secret_file=key, severities=["critical"])
    settings = NotifySettings(channel=[every, critical], queue_bytes_max=BYTES_MAX)
    metrics = Metrics("0")
    store = Database(
        "postgresql://nowhere.invalid/", connections_max=1, statement_timeout_ms=1000, connect_timeout_s=1
    )
    notifier = Notifier(Config(notify=settings), store, metrics)
    for number in range(1, 101):
        notifier.hear(change("raised", number, severity=Severity.HIGH))
    of_one = notifier.rows.waiting_bytes
    assert 0 < of_one <= 2 * BYTES_MAX
    assert metrics.samples(metrics.batch_refused)["notification", "share"] > 0
    assert metrics.samples(metrics.batch_dropped)["notification",] > 0
    assert [0 < one.queued_bytes <= BYTES_MAX for one in notifier.channels()] == [True, False]
    notifier.hear(change("raised", 101))
    assert notifier.rows.waiting_bytes > of_one, "there is room for the other channel"
