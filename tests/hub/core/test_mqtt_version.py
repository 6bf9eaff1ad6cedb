"""Which version of MQTT is spoken next."""

from hub.core.mqtt_version import VersionChoice


def test_a_setting_leaves_no_choice() -> None:
    choices = {"5": VersionChoice("5"), "3.1.1": VersionChoice("3.1.1")}
    for only, choice in choices.items():
        choice.refused(explicitly=True)
        assert choice.next == only
        assert not choice.climbs


def test_a_refusal_of_the_version_is_followed_by_one_attempt_with_the_other() -> None:
    choice = VersionChoice("auto")
    assert choice.next == "5"
    choice.refused(explicitly=True)
    assert choice.next == "3.1.1"
    choice.up()
    assert not choice.climbs  # it has never spoken MQTT 5
    choice.ended()
    assert choice.next == "5"


def test_an_attempt_with_the_other_version_that_fails_leads_back() -> None:
    choice = VersionChoice("auto")
    for fail in (choice.ended, lambda: choice.refused(explicitly=False), lambda: choice.refused(explicitly=True)):
        choice.refused(explicitly=True)
        assert choice.next == "3.1.1"
        fail()
        assert choice.next == "5"


def test_a_broker_that_has_spoken_mqtt_5_and_hangs_up_is_spoken_to_in_it_again() -> None:
    choice = VersionChoice("auto")
    choice.up()
    choice.ended()
    choice.refused(explicitly=False)
    assert choice.next == "5"
    choice.refused(explicitly=True)
    assert choice.next == "3.1.1"
    choice.up()
    assert choice.climbs
    choice.ended()
    assert choice.next == "5"


def test_a_broker_that_never_answered_mqtt_5_is_tried_with_the_other() -> None:
    choice = VersionChoice("auto")
    choice.refused(explicitly=False)
    assert choice.next == "3.1.1"
