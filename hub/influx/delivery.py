"""One batch to InfluxDB: again until every line of it is taken, or found to be one that the server never takes."""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from hub import clock
from hub.core.influx import WriteResponse, WriteVerdict, judge, pause_s
from hub.metrics import Metrics

_log = logging.getLogger(__name__)

_SUSPECTS_MAX: Final = 50
_TOLD_MAX: Final = 5
_TEXT_CHARS_MAX: Final = 300
_WARN_EVERY_MS: Final = 60_000.0


class Writer(Protocol):
    """A server's write API: `hub.influx.client.InfluxServer`."""

    async def write(self, bucket: str, lines: bytes, precision: str) -> WriteResponse:
        """Send lines, separated by line breaks; never raises for what server or network do."""


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """Of one request and of the pauses between them."""

    batch_bytes_max: int
    retry_s_max: float


class InfluxDelivery:
    """Delivers batches of one stream, one after another. It keeps nothing between them but when it last warned."""

    def __init__(
        self, writer: Writer, stream: str, bucket: str, precision: str, limits: DeliveryLimits, metrics: Metrics
    ) -> None:
        self._writer, self._stream, self._bucket, self._precision = writer, stream, bucket, precision
        self._limits = limits
        self._metrics = metrics
        self._failed = 0
        self._warned_ms: float | None = None

    async def deliver(self, lines: Sequence[bytes]) -> int | None:
        """Return how many lines are written, once each is written or rejected; None if somebody has to look.

        A server that is away or busy is asked again for ever, so that this may take as long as its outage;
        cancelling is safe, since lines that were written can be written again. A part that it calls bad is halved
        until the bad line is alone. Single bad lines are left out only if the server took something of the same
        batch, or nothing else was in it.

        None: the server refuses (token, bucket, address), or takes not one line, so that it is not what it should
        be. Nothing is settled then: the lines, of which some may be written, are to be brought again much later.
        """
        batch = _Batch(_cut(lines, self._limits.batch_bytes_max))
        while batch.parts or batch.suspects:
            if len(batch.suspects) >= _SUSPECTS_MAX or not batch.parts:
                if batch.taken == 0 and len(lines) > 1:
                    self._refused(f"not one of {len(batch.suspects)} lines is taken: {batch.suspects[-1][1]}")
                    return None
                await self._reject(batch)
                batch.suspects.clear()
                continue
            if not await self._send(batch):
                return None
        return batch.taken

    async def _send(self, batch: "_Batch") -> bool:
        """Send the next part; False if the server refuses."""
        part = batch.parts[-1]
        answer = await self._writer.write(self._bucket, b"\n".join(part), self._precision)
        verdict, left_out = judge(answer)
        if verdict is WriteVerdict.LATER:
            await self._later(answer)
            return True
        if verdict is WriteVerdict.REFUSED:
            self._refused(answer.sentence())
            return False
        batch.parts.pop()
        if verdict is WriteVerdict.TAKEN:
            self._taken(batch, part, min(left_out, len(part)), answer)
        elif len(part) == 1:
            batch.suspects.append((part[0], answer.sentence()))
        else:
            middle = len(part) // 2
            batch.parts += [part[middle:], part[:middle]]
        return True

    def _taken(self, batch: "_Batch", part: list[bytes], left_out: int, answer: WriteResponse) -> None:
        if self._warned_ms is not None:
            _log.info("InfluxDB takes lines again", extra={"stream": self._stream})
        self._failed, self._warned_ms = 0, None
        batch.taken += len(part) - left_out
        self._metrics.influx_lines.labels(self._stream, "sent").inc(len(part) - left_out)
        self._metrics.influx_last_success.labels(self._stream).set(clock.wall_ms() / 1000)
        if left_out:
            self._metrics.influx_lines.labels(self._stream, "rejected").inc(left_out)
            _log.warning(
                "InfluxDB left lines out of a batch",
                extra={"stream": self._stream, "lines": left_out, "answer": answer.sentence()},
            )

    async def _reject(self, batch: "_Batch") -> None:
        self._metrics.influx_lines.labels(self._stream, "rejected").inc(len(batch.suspects))
        for line, said in batch.suspects[:_TOLD_MAX]:
            text = line[:_TEXT_CHARS_MAX].decode(errors="replace")
            _log.error(
                "InfluxDB does not take a line; it is left out",
                extra={"stream": self._stream, "line": text, "answer": said, "of": len(batch.suspects)},
            )
        if len(batch.suspects) >= _SUSPECTS_MAX:
            # So many are no accident; going slowly leaves somebody the time to look.
            await asyncio.sleep(self._limits.retry_s_max)

    async def _later(self, answer: WriteResponse) -> None:
        self._failed += 1
        wait_s = pause_s(
            self._failed, answer.retry_after, clock.wall(), random.random(), self._limits.retry_s_max  # noqa: S311 - jitter
        )  # fmt: skip
        self._metrics.influx_retries.labels("later").inc()
        self._warn("InfluxDB does not take lines now; the same batch is tried again", answer.sentence())
        await asyncio.sleep(wait_s)

    def _refused(self, said: str) -> None:
        self._metrics.influx_retries.labels("refused").inc()
        self._warn("InfluxDB refuses: look at influx.url, token, org and bucket; nothing is lost meanwhile", said)

    def _warn(self, what: str, said: str) -> None:
        now_ms = clock.now_ms()
        if self._warned_ms is None or now_ms - self._warned_ms >= _WARN_EVERY_MS:
            self._warned_ms = now_ms
            _log.warning(what, extra={"stream": self._stream, "bucket": self._bucket, "answer": said})


class _Batch:
    """What is left of a batch: parts to send, the next one last; and single lines that were found bad."""

    def __init__(self, parts: list[list[bytes]]) -> None:
        self.parts = parts[::-1]
        self.suspects: list[tuple[bytes, str]] = []
        self.taken = 0


def _cut(lines: Sequence[bytes], bytes_max: int) -> list[list[bytes]]:
    """Cut into parts of at most `bytes_max`, or of one line that is longer."""
    parts: list[list[bytes]] = []
    size = bytes_max
    for line in lines:
        size += len(line) + 1
        if size > bytes_max:
            parts.append([])
            size = len(line) + 1
        parts[-1].append(line)
    return parts
