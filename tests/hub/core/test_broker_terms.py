"""What a broker grants, and what it is known for."""

import pytest

from hub.core.broker_terms import (
    RECEIVE_MAXIMUM_SAFE,
    BrokerTerms,
    faults,
    reason,
    receive_maximum,
    refused_filters,
    terms_of,
    unfit,
)

FILTERS = ["lh/v1/+/+/events", "lh/v1/+/+/presence"]


def test_without_properties_the_defaults_of_mqtt_hold() -> None:
    assert terms_of({}, session_present=True, keepalive_s=10) == BrokerTerms(session_present=True, keepalive_s=10)


@pytest.mark.parametrize(("server_s", "kept_s"), [(4, 4), (10, 10), (600, 10), (0, 10)])
def test_the_keepalive_is_the_shorter_of_both(server_s: int, kept_s: int) -> None:
    assert terms_of({"server_keep_alive": [server_s]}, session_present=False, keepalive_s=10).keepalive_s == kept_s


def test_every_property_counts() -> None:
    granted: dict[str, list[int | str]] = {
        "max_qos": [1], "retain_available": [0], "wildcard_subscription_available": [0],
        "maximum_packet_size": [4096], "receive_maximum": [1], "session_expiry_interval": [60],
        "assigned_client_identifier": ["other"], "topic_alias_maximum": [10],
    }  # fmt: skip
    assert terms_of(granted, session_present=False, keepalive_s=10) == BrokerTerms(
        keepalive_s=10, qos_max=1, retain_available=False, wildcards_available=False, packet_bytes_max=4096,
        receive_max=1, session_s=60, client_id="other",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (BrokerTerms(), None),
        (BrokerTerms(qos_max=1), None),
        (BrokerTerms(qos_max=0), "QoS 0 only"),
        (BrokerTerms(retain_available=False), "no retained messages"),
        (BrokerTerms(wildcards_available=False), "no wildcard subscriptions"),
        (BrokerTerms(session_present=True), "went on with a session"),
    ],
)
def test_a_broker_that_a_hub_cannot_work_with_is_told_why(terms: BrokerTerms, words: str | None) -> None:
    said = unfit(terms, FILTERS, clean=True, retains=True)
    assert said is None if words is None else words in str(said)


def test_what_a_link_does_not_need_it_does_not_miss() -> None:
    terms = BrokerTerms(retain_available=False, wildcards_available=False, session_present=True)
    assert unfit(terms, ["lh/v1/hub/state"], clean=False, retains=False) is None


def test_subscriptions_are_served_as_asked_or_named() -> None:
    assert refused_filters(FILTERS, (1, 1)) is None
    assert refused_filters(FILTERS, (1, 0x87)) == (
        "the broker does not serve lh/v1/+/+/presence: refused, not authorized (0x87)"
    )
    assert "lh/v1/+/+/events: granted at QoS 0 instead of 1" in str(refused_filters(FILTERS, (0, 1)))
    assert "2 subscriptions with 1 codes" in str(refused_filters(FILTERS, (1,)))
    assert reason(0xFE) == "unknown reason (0xFE)"


@pytest.mark.parametrize(
    ("version", "allowed", "known"),
    [
        (None, RECEIVE_MAXIMUM_SAFE, 0),
        ("", RECEIVE_MAXIMUM_SAFE, 0),
        ("EMQX 5.8", RECEIVE_MAXIMUM_SAFE, 0),
        ("mosquitto version 1.6.12", RECEIVE_MAXIMUM_SAFE, 2),
        ("mosquitto version 2.0.11", RECEIVE_MAXIMUM_SAFE, 2),
        ("mosquitto version 2.0.12", RECEIVE_MAXIMUM_SAFE, 2),
        ("mosquitto version 2.0.13", 1000, 1),
        ("mosquitto version 2.0.15", 1000, 0),
        ("mosquitto version 2.0.22", 1000, 0),
        ("mosquitto version 2.1.2", 1000, 0),
        ("mosquitto version 3.0", 1000, 0),
    ],
)
def test_a_broker_is_asked_for_no_more_than_it_can_count(version: str | None, allowed: int, known: int) -> None:
    assert receive_maximum(version, 1000) == allowed
    assert receive_maximum(version, 5) == 5
    assert len(faults(version)) == known
