"""A webhook against a real receiver: what is sent, how it is signed, and what each answer means."""

import base64
import hashlib
import hmac
import json
import logging
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.config.notify import WebhookChannel
from hub.core.notify.notices import Message
from hub.core.notify.retry import DeliveryVerdict
from hub.errors import ConfigError
from hub.masking import Secret
from hub.notify.webhook import Webhook
from tests.hub.core.notify.alarms import AT, notice
from tests.hub.notify.receivers import SECRET, Answer, certificate, hook, secret
from tests.services.conftest import free_port

MESSAGE = Message(id=UUID(int=7), at=AT, channel="duty", notice=notice("raised"))


def webhook(folder: Path, url: str | None, **changes: Any) -> Webhook:  # noqa: ANN401 - settings
    fields = {"name": "duty", "url": None if url is None else Secret(url), "secret_file": secret(folder), **changes}
    return Webhook(WebhookChannel(**fields), "https://hub.example.org")


async def test_a_request_is_signed_over_id_time_and_body(tmp_path: Path) -> None:
    async with hook() as receiver:
        outcome = await webhook(tmp_path, receiver.url).send(MESSAGE)
    assert (outcome.verdict, outcome.detail) == (DeliveryVerdict.SENT, "200")
    ((headers, body),) = receiver.seen
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == str(MESSAGE.id)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    # Computed as a receiver would, from what came over the wire.
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.digest(SECRET.encode(), signed, "sha256")
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
    told = json.loads(body)
    assert (told["type"], told["data"]["what"]) == ("alarm.raised", "Door 3 was opened by force")
    assert told["timestamp"] == "2026-11-25T12:00:00Z"


async def test_a_secret_of_standard_webhooks_is_its_bytes(tmp_path: Path) -> None:
    key = hashlib.sha256(b"key").digest()
    file = secret(tmp_path, f"whsec_{base64.b64encode(key).decode()}", "whsec")
    async with hook() as receiver:
        await webhook(tmp_path, receiver.url, secret_file=file).send(MESSAGE)
    ((headers, body),) = receiver.seen
    signed = f"{MESSAGE.id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize(
    ("answer", "verdict", "detail"),
    [
        (204, DeliveryVerdict.SENT, "204"),
        ((400, {}, "bad\nthing"), DeliveryVerdict.FAILED, "400: bad thing"),
        (401, DeliveryVerdict.FAILED, "401"),
        ((429, {"Retry-After": "7"}, ""), DeliveryVerdict.LATER, "429"),
        ((503, {}, "x" * 100_000), DeliveryVerdict.LATER, "503: xxx"),
        ("close", DeliveryVerdict.LATER, "the connection to http://127.0.0.1:"),
        ("hang", DeliveryVerdict.LATER, "no answer within 0.2 s"),
    ],
)
async def test_answers(tmp_path: Path, answer: Answer, verdict: DeliveryVerdict, detail: str) -> None:
    async with hook(answer) as receiver:
        outcome = await webhook(tmp_path, receiver.url, timeout_s=0.2).send(MESSAGE)
    assert outcome.verdict is verdict
    assert outcome.detail.startswith(detail)
    assert len(outcome.detail) < 300
    assert outcome.retry_after == ("7" if isinstance(answer, tuple) and answer[0] == 429 else None)


async def test_redirects_are_not_followed(tmp_path: Path) -> None:
    async with hook() as other, hook((307, {"Location": other.url}, "")) as receiver:
        outcome = await webhook(tmp_path, receiver.url).send(MESSAGE)
        assert (outcome.verdict, other.seen) == (DeliveryVerdict.FAILED, [])
    assert outcome.detail == "307: redirects are not followed; set the address itself"


async def test_nobody_there(tmp_path: Path) -> None:
    outcome = await webhook(tmp_path, f"http://127.0.0.1:{free_port()}/secret-path").send(MESSAGE)
    assert outcome.verdict is DeliveryVerdict.LATER
    assert "cannot connect to http://127.0.0.1:" in outcome.detail


async def test_whom_it_does_not_trust_it_does_not_tell(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    async with hook(tls=context) as receiver:
        refused = await webhook(tmp_path, receiver.url).send(MESSAGE)
        assert (refused.verdict, receiver.seen) == (DeliveryVerdict.LATER, [])
        assert (await webhook(tmp_path, receiver.url, tls_ca_file=ca).send(MESSAGE)).verdict is DeliveryVerdict.SENT
    assert len(receiver.seen) == 1


async def test_no_secret_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    details = []
    async with hook("close") as receiver:
        one = webhook(tmp_path, receiver.url)
        details += [(await one.send(MESSAGE)).detail, one.to]
    details.append((await webhook(tmp_path, f"http://127.0.0.1:{free_port()}/secret-path").send(MESSAGE)).detail)
    told = " ".join([*details, caplog.text])
    assert SECRET not in told
    assert "secret-path" not in told


async def test_an_address_may_stand_in_a_file(tmp_path: Path) -> None:
    async with hook() as receiver:
        file = secret(tmp_path, receiver.url, "url")
        one = webhook(tmp_path, None, url_file=file)
        assert (await one.send(MESSAGE)).verdict is DeliveryVerdict.SENT
        assert one.to == receiver.url.removesuffix("/hooks/secret-path")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("short", "5 bytes are too few"),
        ("whsec_!!!!", "what follows whsec_ is not base64"),
        ("whsec_c2hvcnQ=", "5 bytes are too few"),
    ],
)
def test_secrets_that_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        webhook(tmp_path, "http://127.0.0.1/x", secret_file=secret(tmp_path, text, "bad"))
    assert sentence in str(refused.value)
    assert text not in str(refused.value)


def test_an_address_from_a_file_is_checked_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        webhook(tmp_path, None, url_file=secret(tmp_path, "ftp://token-7", "url"))
    assert "token-7" not in str(refused.value)
    with pytest.raises(ConfigError, match=r"secret_file: cannot read .*nowhere"):
        webhook(tmp_path, "http://127.0.0.1/x", secret_file=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="tls_ca_file: cannot use"):
        webhook(tmp_path, "https://127.0.0.1/x", tls_ca_file=str(tmp_path / "nowhere"))
