"""A broker that comes back: our node and python-socketio find each other again, without help."""

import pytest

from brokers import until
from clients import Client
from nodes import Node


# An AsyncAioPikaManager whose broker went away hangs in its next emit, also among its like.
@pytest.fixture(params=[("redis", "redis"), ("amqp", "kombu")], ids=lambda pair: pair[0])
def cluster(request):
    adapter, manager = request.param
    # No other test is using it just now.
    return adapter, manager, request.getfixturevalue("redis" if adapter == "redis" else "rabbitmq")


def test_after_a_restart_both_hear_each_other_again(cluster, ending):
    adapter, manager, broker = cluster
    theirs = ending(Node.member(broker, manager, "restart"))
    ours = ending(Node.ours(broker, adapter, "member", "restart"))
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
