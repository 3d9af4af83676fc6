"""Channels against a real local server, in health and in every fault."""

import json
import logging
from collections import deque

import pytest

from python_ml.exceptions import AlertChannelError
from python_ml.monitoring.alerts import channels
from python_ml.monitoring.alerts.channels import (
    known_to_apprise,
    read_channels,
    send,
)
from tests.alert_receiver import running_receiver

SECRETS = ("topsecretword", "T0SECRET", "b0tsecret")
GROUPS = [
    {
        "group": "d1",
        "lines": [{"mark": "critical", "text": "odd", "advice": "look"}],
        "n_more": 0,
    }
]


@pytest.fixture(scope="module")
def running():
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(running, monkeypatch):
    running.reset()
    monkeypatch.setattr(channels, "TIMEOUT_SECONDS", 0.3)
    return running


def addresses(receiver):
    return {
        "SWIFTBOLT_ALERT_URLS": (
            f"json://ann:topsecretword@{receiver.address}/b0tsecret"
        ),
        "SLACK_WEBHOOK_URL": f"http://{receiver.address}/services/T0SECRET",
    }


def test_each_channel_is_sent_the_message_in_its_own_form(receiver):
    for channel in read_channels(addresses(receiver)).usable:
        send(channel, "SwiftBolt: 1 new", GROUPS, number=7)
    by_apprise, slack = receiver.messages
    assert by_apprise["title"] == "SwiftBolt: 1 new (#7)"
    assert by_apprise["message"] == ("d1\n- critical: odd. What to do: look")
    assert [block["type"] for block in slack["blocks"]] == [
        "header",
        "section",
        "context",
    ]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (500, "it answered 500"),
        (404, "it answered 404"),
        (302, "not followed"),
        ("cut", "no connection|cut off"),
        ("hang", "no answer"),
    ],
)
@pytest.mark.parametrize("number", [0, 1], ids=["apprise", "slack"])
def test_a_fault_is_told_without_the_address(
    receiver, caplog, capfd, number, fault, reason
):
    caplog.set_level(logging.DEBUG)
    receiver.faults = deque([fault])
    channel = read_channels(addresses(receiver)).usable[number]
    with pytest.raises(AlertChannelError, match=reason) as caught:
        send(channel, "SwiftBolt", GROUPS, number=1)
    # A redirect is not followed, so nothing reached another place.
    assert (receiver.messages, receiver.n_requests) == ([], 1)
    printed = capfd.readouterr()
    told = f"{caught.value!r}{channel!r}{caplog.text}{printed.out}{printed.err}"
    assert not [secret for secret in SECRETS if secret in told]
    assert "Traceback" not in told


def test_an_answer_that_is_cut_off_behind_its_status_is_an_answer(receiver):
    receiver.faults = deque(["cut body"])
    slack = read_channels(addresses(receiver)).usable[1]
    send(slack, "SwiftBolt", GROUPS, number=1)
    assert len(receiver.messages) == 1


def test_a_server_that_is_not_there_is_told(receiver):
    for name in ("SWIFTBOLT_ALERT_URLS", "SLACK_WEBHOOK_URL"):
        scheme = "json" if name == "SWIFTBOLT_ALERT_URLS" else "http"
        (channel,) = read_channels({name: f"{scheme}://127.0.0.1:9"}).usable
        with pytest.raises(AlertChannelError, match="no connection"):
            send(channel, "SwiftBolt", GROUPS, number=1)


def test_addresses_are_parted_by_spaces_or_commas_and_count_once():
    found = read_channels(
        {"SWIFTBOLT_ALERT_URLS": "json://a/x,y\njson://b,json://a/x,y, "}
    )
    assert [channel.address for channel in found.usable] == [
        "json://a/x,y",
        "json://b",
    ]
    assert found.problems == ()


def test_a_problem_names_the_place_of_its_address(receiver):
    urls = f"json://{receiver.address} nothing://b"
    found = known_to_apprise(read_channels({"SWIFTBOLT_ALERT_URLS": urls}))
    assert [channel.number for channel in found.usable] == [1]
    assert found.problems[0].startswith("Address 2 of SWIFTBOLT_ALERT_URLS")


@pytest.mark.parametrize(
    "urls",
    ["notaurl", "nothing://topsecretword", "http://topsecretword", "://", "%"],
)
def test_a_malformed_address_is_a_problem_that_does_not_repeat_it(urls):
    found = known_to_apprise(read_channels({"SWIFTBOLT_ALERT_URLS": urls}))
    assert found.usable == ()
    assert "Address 1 of SWIFTBOLT_ALERT_URLS" in found.problems[0]
    assert "topsecretword" not in json.dumps(found.problems)


@pytest.mark.parametrize(
    "webhook", ["hooks.slack.com/x", "http://", "x:y", "["]
)
def test_a_malformed_webhook_is_a_problem(webhook):
    found = read_channels({"SLACK_WEBHOOK_URL": webhook})
    assert found.usable == ()
    assert "SLACK_WEBHOOK_URL is no address" in found.problems[0]


def test_labels_tell_channels_apart_and_hold_no_secret(receiver):
    found = read_channels(addresses(receiver)).usable
    labels = {channel.label for channel in found}
    assert len(labels) == 2
    assert all(secret not in label for label in labels for secret in SECRETS)
