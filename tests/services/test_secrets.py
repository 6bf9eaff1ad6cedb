"""No secret in any text: each setting that has one, in each of the ways in which it is got wrong."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from hub import logs
from hub.cli.main import main
from hub.config.settings import load
from hub.errors import ConfigError
from hub.keys import make_key
from hub.masking import MASK, Secret, remember, scrub
from hub.store.dsn import check_dsn
from hub.store.migrate import migrate
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

CANARY = "S3cret-canary"
COMMANDS = (["check-config"], ["run"], ["doctor"], ["migrate"])
POOLED = ["locker", "list"]

# Pieces of CANARY that must not show either: libpq takes the DSN apart at what is not percent-encoded.
MISTYPED = [
    f"postgres:/lockerhub:{CANARY}@127.0.0.1:1/x",
    f"lockerhub:{CANARY}@127.0.0.1/x",
    CANARY,
    f"postgresql://hub:{CANARY}@127.0.0.1:notaport/x",
    f"postgresql://hub:{CANARY}@127.0.0.1:99999/x",
    f"postgresql://hub:{CANARY}@[::1/x",
    f"postgresql://hub:{CANARY}%zz@127.0.0.1/x",
    "postgresql://hub:S3cret/canary@127.0.0.1/x",
    "postgresql://hub:1234/canary@127.0.0.1/x",
    "postgresql://hub:S3cret@canary@127.0.0.1/x",
    f"postgresql:///hub:{CANARY}@127.0.0.1/x",
    f"postgresql://127.0.0.1/x?pasword={CANARY}",
    f"host=127.0.0.1 pasword={CANARY}",
    f"host=127.0.0.1 password={CANARY} more words",
    f"host=127.0.0.1 password='{CANARY}",
    f"host=127.0.0.1 password=\\'{CANARY} x",
]
UNREACHABLE = f"postgresql://hub:{CANARY}@127.0.0.1:1/x?connect_timeout=2"

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    make_key(tmp_path / "command_key.pem")
    monkeypatch.chdir(tmp_path)
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level

    def run(arguments: list[str], **settings: str) -> tuple[int, str]:
        with monkeypatch.context() as patched:
            for name, value in settings.items():
                patched.setenv(f"HUB_{name}", value)
            patched.setattr(sys, "argv", ["hub", *arguments])
            try:
                main()
                status: object = 0
            except SystemExit as end:
                status = end.code or 0
            assert isinstance(status, int)
        said = capfd.readouterr()
        return status, said.out + said.err

    yield run
    root.handlers[:], sys.excepthook = handlers, hook
    root.setLevel(level)


@pytest.mark.parametrize("dsn", MISTYPED)
def test_a_mistyped_dsn_is_one_sentence_without_a_piece_of_it(hub: Run, dsn: str) -> None:
    for command in (*COMMANDS, POOLED):
        status, said = hub(command, DATABASE_DSN=dsn)
        assert (status, said.count("\n")) == (1, 1), said
        assert said.startswith("hub: ")
        assert "database.dsn" in said
        assert not [word for word in ("S3cret", "canary", "1234") if word in said], said


def test_a_dsn_that_is_right_is_taken() -> None:
    for dsn in (
        "", "postgresql://", "postgresql://u:p%40ss@[::1]:5432/db?sslmode=require", "postgresql://u:p@h1:1,h2:2/db",
        "postgresql:///db?host=/var/run/postgresql", "host=/tmp dbname=x", "postgresql://u:a?b:c@host/db",
        "host=127.0.0.1 password='it\\'s fine' user=x",
    ):  # fmt: skip
        check_dsn(dsn)


def test_a_keyword_that_is_nearly_one_is_named_and_others_are_not() -> None:
    with pytest.raises(ConfigError, match=r"pasword: did you mean password\?"):
        check_dsn("host=x pasword=y")
    with pytest.raises(ConfigError) as refused:
        check_dsn("host=x qqqqqqqq=y")
    assert "qqqq" not in str(refused.value)


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_a_database_that_is_away_shows_no_password(hub: Run, command: list[str]) -> None:
    status, said = hub(command, DATABASE_DSN=UNREACHABLE)
    assert status == 1
    assert "port 1 failed" in said
    assert said.count("\n") == 1
    assert CANARY not in said


@pytest.mark.parametrize("migrated", [False, True])
def test_a_role_without_rights_is_one_sentence(hub: Run, plain_postgres: Cluster, *, migrated: bool) -> None:
    with fresh_database(plain_postgres) as owner:
        if migrated:
            migrate(owner)
        rows(owner, f"DROP ROLE IF EXISTS weak; CREATE ROLE weak LOGIN PASSWORD '{CANARY}'")
        try:
            rows(owner, "REVOKE ALL ON SCHEMA public FROM public; SELECT 1")
            rows(owner, "GRANT USAGE ON SCHEMA public TO weak; SELECT 1")
            weak = psycopg.conninfo.make_conninfo(owner, user="weak", password=CANARY)
            for command in (*COMMANDS[1:], POOLED):
                status, said = hub(command, DATABASE_DSN=weak)
                assert status == 1
                assert said.count("\n") == 1, said
                assert "permission denied" in said or "lacks" in said or "`hub migrate`" in said
                assert CANARY not in said
        finally:
            rows(owner, "DROP OWNED BY weak; DROP ROLE weak")


# The secret itself in the place of its file's path; and a URL with a password where a name should be.
MISPLACED = {
    "DATABASE_DSN_FILE": f"postgresql://hub:{CANARY}@127.0.0.1/x",
    "MQTT_PASSWORD_FILE": CANARY,
    "MQTT_HOST": f"mqtt://hub:{CANARY}@broker",
    "HTTP_HOST": f"http://hub:{CANARY}@0.0.0.0",
    "HTTP_TOKEN_FILE": f"{CANARY}",
    "HTTP_PUBLIC_URL": f"https://hub:{CANARY}@hub.example.org",
    "INFLUX_URL": f"http://hub:{CANARY}@influx:8086",
    "INFLUX_TOKEN_FILE": CANARY,
    "PEOPLE_CODE_KEY_FILE": f"{CANARY}/code",
}


@pytest.mark.parametrize("setting", MISPLACED)
def test_a_secret_in_the_wrong_place_is_not_repeated(hub: Run, setting: str) -> None:
    more = {"INFLUX_URL": "http://127.0.0.1:1"} if setting == "INFLUX_TOKEN_FILE" else {}
    more |= {} if setting.startswith("DATABASE") else {"DATABASE_DSN": UNREACHABLE}
    for command in COMMANDS:
        _, said = hub(command, **(more | {setting: MISPLACED[setting]}))
        assert CANARY not in said, f"{command}: {said}"
    if not setting.startswith("PEOPLE"):
        status, said = hub(["check-config"], **(more | {setting: MISPLACED[setting]}))
        assert (status, setting.split("_", 1)[1].lower() in said) == (1, True), said


def test_what_the_files_hold_is_not_repeated(hub: Run, tmp_path: Path) -> None:
    for name in ("token", "password", "influx"):
        (tmp_path / f"{name}.txt").write_text(f"a:b:c:{CANARY}\nshort:{CANARY[:6]}\n")
        (tmp_path / f"{name}.txt").chmod(0o600)
    (tmp_path / "hub.toml").write_text(
        "[[notify.channel]]\nkind = 'webhook'\nname = 'x'\n"
        f"url = 'https://hub:{CANARY}@example.org'\nsecret_file = 'x'\n"
    )
    for command in COMMANDS:
        for arguments in (command, [*command, "--config", "hub.toml"]):
            _, said = hub(
                arguments, DATABASE_DSN=UNREACHABLE, HTTP_TOKEN_FILE="token.txt",
                MQTT_PASSWORD_FILE="password.txt", INFLUX_URL="http://127.0.0.1:1", INFLUX_TOKEN_FILE="influx.txt",
            )  # fmt: skip
            assert CANARY not in said
            assert CANARY[:6] not in said


def test_representations_show_nothing(tmp_path: Path) -> None:
    (tmp_path / "hub.toml").write_text(
        f"[database]\ndsn = 'postgresql://hub:{CANARY}@x/y'\n"
        "[[notify.channel]]\nkind = 'webhook'\nname = 'x'\n"
        f"url = 'https://example.org/{CANARY}'\nsecret_file = 'x'\n"
    )
    config = load(tmp_path / "hub.toml", {})
    for text in (repr(config), str(config), f"{config.database} {config.notify}", f"{config.database.dsn!r:>9}"):
        assert CANARY not in text
        assert MASK in text
    assert config.dsn() == f"postgresql://hub:{CANARY}@x/y"
    assert (Secret("abcdefg"), len({Secret("abcdefg"), Secret("abcdefg")})) == (Secret("abcdefg"), 1)


def fail(text: str) -> None:
    unknown = "local-to-a-function"
    raise RuntimeError(text, unknown.upper())


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_in_the_log_shows_neither_locals_nor_known_secrets(
    capfd: pytest.CaptureFixture[str], hub: Run, form: str
) -> None:
    del hub  # it puts the logging back
    logs.configure("info", form)  # type: ignore[arg-type]
    remember('s3cret "quoted" & ünd mehr')
    try:
        fail('refused: s3cret "quoted" & ünd mehr')
    except RuntimeError as error:
        logging.getLogger("x").exception(
            "It failed",
            extra={
                "why": 's3cret "quoted" & ünd mehr',
                "url": "x://u:s3cret%20%22quoted%22%20%26%20%C3%BCnd%20mehr@h",
            },
        )
        sys.excepthook(RuntimeError, error, error.__traceback__)
    said = capfd.readouterr().err
    assert "LOCAL-TO" in said
    assert "local-to" not in said
    assert "quoted" not in said
    assert said.count(MASK) >= 4


def test_a_short_value_takes_no_words_apart() -> None:
    remember("hub")
    assert scrub("the hub is up") == "the hub is up"
