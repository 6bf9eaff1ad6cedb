"""The settings of channels: what makes no sense is a sentence, and no secret is in it."""

import re
from pathlib import Path

import msgspec
import pytest

from hub.config.notify import EmailChannel, WebhookChannel
from hub.config.settings import load
from hub.errors import ConfigError

EMAIL = """
[[notify.channel]]
name = "duty"
kind = "email"
host = "mail.example.org"
sender = "hub@example.org"
to = ["duty@example.org"]
"""
HOOK = """
[[notify.channel]]
name = "hook"
kind = "webhook"
url = "https://hooks.example.org/T0/secret-7"
secret_file = "secret"
severities = ["critical", "high"]
sites = ["Berlin"]
"""


def read(folder: Path, text: str) -> list[EmailChannel | WebhookChannel]:
    (folder / "hub.toml").write_text(text)
    return load(folder / "hub.toml", {}).notify.channel


def test_channels_are_read_in_their_order(tmp_path: Path) -> None:
    email, hook = read(tmp_path, EMAIL + HOOK)
    assert isinstance(email, EmailChannel)
    assert (email.port, email.security, email.dedup_s) == (587, "starttls", 300)
    assert isinstance(hook, WebhookChannel)
    assert (hook.timeout_s, hook.severities, hook.sites) == (5, ["critical", "high"], ["Berlin"])
    assert read(tmp_path, "") == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (EMAIL + EMAIL, "notify.channel: two are called duty"),
        (
            EMAIL.replace("duty@example.org", "Duty <duty@example.org>"),
            "'Duty <duty@example.org>' is not an address",
        ),
        (EMAIL.replace("hub@example.org", "hub@ex\\nBcc: a@b"), "is not an address like"),
        (EMAIL.replace('"email"', '"sms"'), "notify.channel[0].kind"),
        (EMAIL + 'username = "hub"', "notify.channel duty: username and password_file belong together"),
        (
            EMAIL + 'security = "none"\nusername = "hub"\npassword_file = "p"',
            'security = "none" would send the password as it is',
        ),
        (EMAIL.replace('["duty@example.org"]', "[]"), "notify.channel[0].to"),
        (EMAIL + "severity = 5", "unknown field `severity`"),
        (EMAIL + 'severities = ["urgent"]', "notify.channel[0].severities[0]"),
        (EMAIL + "dedup_s = -1", "notify.channel[0].dedup_s"),
        (EMAIL.replace('"duty"', '"Duty team"'), "notify.channel[0].name"),
        (HOOK.replace("https://hooks", "https://user:pw@hooks"), "notify.channel hook: the url must be"),
        (HOOK.replace("https://hooks", "ftp://hooks"), "the url must be"),
        (HOOK.replace("https://hooks.example.org/", "hooks/"), "the url must be"),
        (HOOK.replace("example.org/", "example.org:99999/"), "the url must be"),
        (HOOK.replace("example.org/", "example.org/a b"), "the url must be"),
        (HOOK + 'url_file = "u"', "set url, or url_file"),
        (HOOK.replace("url =", "#"), "set url, or url_file"),
        (HOOK.replace("secret_file", "secret"), "unknown field `secret`"),
        ("[notify]\nqueue_max = 0", "notify.queue_max"),
        ("[notify]\nchanel = []", "did you mean channel?"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert sentence in str(refused.value)
    assert "secret-7" not in str(refused.value)


def test_channels_are_of_the_file_and_not_of_the_environment() -> None:
    with pytest.raises(ConfigError, match="HUB_NOTIFY_CHANNEL: Expected `array`"):
        load(None, {"HUB_NOTIFY_CHANNEL": "x"})


def test_every_setting_of_a_channel_is_told_with_its_default_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "docs" / "notifications.md").read_text()
    told: dict[str, str] = {}
    for line in re.findall(r"^\| `.*$", text, re.MULTILINE):
        keys, defaults = (cell.strip() for cell in line.strip("|").split("|")[:2])
        names = re.findall(r"`(\w+)`", keys)
        told |= dict(zip(names, [one.strip() for one in defaults.split(",")], strict=True))
    fields = {
        field.name: field.default
        for kind in (EmailChannel, WebhookChannel)
        for field in msgspec.structs.fields(kind)
    }
    defaults_of = {
        name: f"{default:g}" if isinstance(default, float) else str(default)
        for name, default in fields.items()
        if isinstance(default, int | float | str)
    }
    timeouts = {
        f.default
        for kind in (EmailChannel, WebhookChannel)
        for f in msgspec.structs.fields(kind)
        if f.name == "timeout_s"
    }
    assert told.keys() == fields.keys()
    assert timeouts == {5, 20}
    for name, default in told.items():
        if name != "timeout_s":
            assert default == defaults_of.get(name, "–"), name  # noqa: RUF001 - as it stands in the document
