"""A broker that comes back: our node and python-socketio find each other again, without help."""

import pytest

from brokers import Redis, until
from clients import Client
from nodes import Node


@pytest.fixture
def broker():
    broker = Redis()
    yield broker
    broker.close()


def test_after_a_restart_both_hear_each_other_again(broker, ending):
    theirs = ending(Node.member(broker, "redis"))
    ours = ending(Node.ours(broker, "redis", "member", "socketio"))
    clients = [ending(Client(theirs)), ending(Client(ours))]

    def heard(word):
        for node in (theirs, ours):
            node.do("emit", event=word, args=[node.url])
        return all([word, node.url] in client.heard for node in (theirs, ours) for client in clients)

    until("nodes that hear each other", lambda: heard("before"))
    broker.stop()
    # Its own clients are served all the time.
    ours.do("emit", event="alone", args=[])
    clients[1].saw("alone")
    broker.start()
    until("nodes that hear each other again", lambda: heard("after"), 60)
    ours.do("emit", event="last", args=[])
    for client in clients:
        client.saw("last")
        assert client.count("last") == 1
