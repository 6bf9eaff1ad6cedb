"""Topics: every locker's channels round-trip, and nothing else is taken for one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.strategies import lockers
from wire.errors import Reason, WireError
from wire.topics import HUB_STATE, Channel, is_locker_id, parse, shard_of, subscription, topic_of


@given(lockers, st.sampled_from(Channel))
def test_a_topic_comes_back_as_it_was_built(locker: str, channel: Channel) -> None:
    assert is_locker_id(locker)
    assert parse(topic_of(locker, channel)) == (locker, channel)


# CRC-32 of "123456789" is cbf43926: the check value of its definition.
def test_the_shard_is_the_low_byte_of_the_ids_crc_32() -> None:
    assert shard_of("123456789") == "26"
    assert topic_of("123456789", Channel.EVENTS) == "lh/v1/26/123456789/events"


@given(lockers)
def test_a_shard_is_two_lower_case_hex_digits(locker: str) -> None:
    assert len(shard_of(locker)) == 2
    assert int(shard_of(locker), 16) < 256
    assert shard_of(locker) == shard_of(locker).lower()


def test_a_filter_takes_one_shard_or_all() -> None:
    assert subscription(Channel.REPLIES) == "lh/v1/+/+/replies"
    assert subscription(Channel.EVENTS, "0a") == "lh/v1/0a/+/events"
    assert HUB_STATE == "lh/v1/hub/state"


@given(lockers, st.sampled_from(Channel), st.integers(0, 255))
def test_another_shard_is_refused(locker: str, channel: Channel, shard: int) -> None:
    other = f"{shard:02x}"
    topic = f"lh/v1/{other}/{locker}/{channel.value}"
    if other == shard_of(locker):
        assert parse(topic) == (locker, channel)
        return
    with pytest.raises(WireError, match="the shard of") as refused:
        parse(topic)
    assert refused.value.reason is Reason.TOPIC


GOOD = topic_of("berlin-01", Channel.EVENTS)
SHARD = shard_of("berlin-01")
BAD_TOPICS = {
    "nothing": "",
    "one level": "lh",
    "leading slash": f"/{GOOD}",
    "trailing slash": f"{GOOD}/",
    "empty level": f"lh/v1/{SHARD}//berlin-01/events",
    "empty locker": f"lh/v1/{SHARD}//events",
    "empty shard": "lh/v1//berlin-01/events",
    "65,535 bytes": f"lh/v1/{SHARD}/{'a' * 65_513}/events",
    "a plus": f"lh/v1/{SHARD}/+/events",
    "a hash": f"lh/v1/{SHARD}/berlin-01/#",
    "a plus for the shard": "lh/v1/+/berlin-01/events",
    "$SYS": "$SYS/broker/uptime",
    "$share": f"$share/hub/{GOOD}",
    "NUL": f"lh/v1/{SHARD}/berlin\x00/events",
    "U+FEFF": "\ufeff" + GOOD,
    "U+FEFF in the id": f"lh/v1/{SHARD}/berlin-01\ufeff/events",
    "not UTF-8": f"lh/v1/{SHARD}/berlin-\udcff/events",
    "a line feed at the end of the id": f"lh/v1/{SHARD}/berlin-01\n/events",
    "a line feed at the end": GOOD + "\n",
    "mixed case": f"lh/v1/{SHARD}/Berlin-01/events",
    "upper case hex": "lh/v1/5E/0/events",
    "upper case prefix": f"LH/v1/{SHARD}/berlin-01/events",
    "other version": f"lh/v2/{SHARD}/berlin-01/events",
    "other prefix": f"xx/v1/{SHARD}/berlin-01/events",
    "other channel": f"lh/v1/{SHARD}/berlin-01/secrets",
    "channel in upper case": f"lh/v1/{SHARD}/berlin-01/EVENTS",
    "a digit that is not ASCII": f"lh/v1/{SHARD}/berlin-\N{ARABIC-INDIC DIGIT ONE}/events",
    "33 characters": f"lh/v1/{shard_of('a' * 33)}/{'a' * 33}/events",
    "the hub's state": HUB_STATE,
}


@pytest.mark.parametrize("topic", BAD_TOPICS.values(), ids=BAD_TOPICS.keys())
def test_what_is_no_topic_is_refused_with_a_sentence(topic: str) -> None:
    with pytest.raises(WireError) as refused:
        parse(topic)
    assert refused.value.reason is Reason.TOPIC
    assert 20 < len(refused.value.detail) < 300
    assert str(refused.value) == refused.value.detail


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["lh", "v1", "26", "123456789", "events", "+"])).map("/".join)
)
def test_no_text_makes_it_fail_in_another_way(topic: str) -> None:
    result = read(topic)
    if isinstance(result, WireError):
        assert result.reason is Reason.TOPIC
    else:
        assert topic_of(*result) == topic


def read(topic: str) -> tuple[str, Channel] | WireError:
    try:
        return parse(topic)
    except WireError as refused:
        return refused


@pytest.mark.parametrize("text", ["", "a" * 33, "A", "a_b", "a b", "ä", "a\n", "a/b", "+"])
def test_what_is_no_locker_id(text: str) -> None:
    assert not is_locker_id(text)
