"""The command `socketio-emit` reaches the clients of servers of python-socketio and Flask-SocketIO, and ours beside them."""

import json
import os
import subprocess
import types

import pytest
import redis

from brokers import until
from clients import Client
from nodes import OURS, Node

EMIT = os.environ.get("SOCKETIO_EMIT", "")
pytestmark = pytest.mark.skipif(not EMIT, reason="SOCKETIO_EMIT names no command")

CLUSTERS = [("redis", "redis"), ("redis", "kombu"), ("redis", "flask"), ("amqp", "aiopika"), ("amqp", "flask")]


@pytest.fixture(scope="module", params=CLUSTERS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def scene(request, ending):
    adapter, manager = request.param
    broker = request.getfixturevalue("redis" if adapter == "redis" else "rabbitmq")
    channel = f"our-emitter-{adapter}-{manager}"
    nodes = [ending(Node.member(broker, manager, channel))]
    if (adapter, manager) == ("redis", "kombu"):
        channel = f"/0.{channel}"
    if OURS:
        nodes.append(ending(Node.ours(broker, adapter, "listen", channel)))
    made = types.SimpleNamespace(broker=broker, channel=channel, adapter=adapter)
    made.client = lambda node, *rooms, **options: ending(Client(node, *rooms, **options))
    made.nodes = nodes
    # One of each node in the room, and one that is not.
    made.inside = [made.client(node, "pair") for node in nodes]
    made.outside = [made.client(node) for node in nodes]
    made.all = made.inside + made.outside

    def heard():
        emit(made, "probe")
        return all(["probe"] in client.heard for client in made.all)

    until("nodes that hear the emitter", heard)
    return made


def run(scene, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
    url = getattr(scene.broker, "strict_url", scene.broker.url)
    options = ["--url", url, "--mode", "python", "--python-channel", scene.channel]
    return subprocess.run([EMIT, *options, *args], input=stdin, capture_output=True, timeout=30)


def emit(scene, *args: str, stdin: bytes = b"") -> None:
    done = run(scene, *args, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


serial = 0


def heard(scene, *args: str, event=(), stdin: bytes = b"") -> list:
    """Who hears an event; a second one to all shows that nobody will any more."""
    global serial
    serial += 1
    emit(scene, *args, stdin=stdin)
    emit(scene, "end", str(serial))
    for client in scene.all:
        client.saw("end", serial)
    return [client for client in scene.all if client.count(*event)]


def test_an_event_for_all_reaches_all_as_it_is(scene):
    args = [1, -2.5, "é€😀\"\\", None, True, {"deep": [{"er": [0]}]}, []]
    assert heard(scene, "all", *map(json.dumps, args), event=("all", *args)) == scene.all
    assert heard(scene, "none", event=("none",)) == scene.all
    assert heard(scene, "list", "[1,2]", event=("list", [1, 2])) == scene.all


def test_bytes(scene):
    assert heard(scene, "bytes", "@-", '"text"', event=("bytes", b"\x00\xff\x89", "text"), stdin=b"\x00\xff\x89") == scene.all


def test_rooms_sockets_and_namespaces(scene):
    # The id of a socket may begin with a hyphen, so it is attached to its option.
    assert heard(scene, "-r", "pair", "room", event=("room",)) == scene.inside
    assert heard(scene, "-r", "nobody", "nobody", event=("nobody",)) == []
    one = scene.outside[-1]
    assert heard(scene, f"-r{one.sid}", "one", event=("one",)) == [one]
    assert heard(scene, "-r", "pair", f"-r{one.sid}", "both", event=("both",)) == [*scene.inside, one]
    others = [client for client in scene.all if client is not one]
    assert heard(scene, f"-x{one.sid}", "others", event=("others",)) == others
    custom = [scene.client(node, namespace="/custom") for node in scene.nodes]
    assert heard(scene, "-n", "/custom", "custom", "1", event=("custom", 1)) == []
    for client in custom:
        client.saw("custom", 1)


def test_a_trace_goes_along_and_nobody_stumbles_over_it(scene, monkeypatch):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    monkeypatch.setenv("TRACEPARENT", parent)
    monkeypatch.setenv("TRACESTATE", "vendor=1")
    spy = None
    # Kombu's messages are in an envelope.
    if scene.adapter == "redis" and not scene.channel.startswith("/"):
        spy = redis.Redis.from_url(scene.broker.url).pubsub(ignore_subscribe_messages=True)
        spy.subscribe(scene.channel)
    try:
        assert heard(scene, "traced", "1", event=("traced", 1)) == scene.all
        assert heard(scene, "-r", "pair", "traced", "@-", event=("traced", b"\x00"), stdin=b"\x00") == scene.inside
        guest = scene.client(scene.nodes[0])
        emit(scene, f"-r{guest.sid}", "--join", "traced")

        def in_the_room():
            emit(scene, "-r", "traced", "in")
            return guest.count("in")

        until("a join", in_the_room)
        emit(scene, f"-r{guest.sid}", "--disconnect")
        assert guest.gone.wait(20)
        if spy:
            said = []

            def the_end():
                message = spy.get_message(timeout=0.1)
                if message:
                    said.append(json.loads(message["data"]))
                return said and said[-1]["method"] == "disconnect"

            until("what was said", the_end)
            assert {message["method"] for message in said} == {"emit", "enter_room", "disconnect"}
            assert all((message["traceparent"], message["tracestate"]) == (parent, "vendor=1") for message in said)
    finally:
        if spy:
            spy.close()


def test_lines_keep_their_order(scene):
    lines = "".join(f'["line",{number}]\n' for number in range(300))
    emit(scene, "-", stdin=lines.encode())
    for client in scene.all:
        client.saw("line", 299)
        assert [entry[1] for entry in client.heard if entry[0] == "line"] == list(range(300))


def test_one_socket_joins_leaves_and_is_disconnected(scene):
    for node in scene.nodes:
        guest = scene.client(node)
        emit(scene, f"-r{guest.sid}", "--join", "late")

        def in_the_room():
            emit(scene, "-r", "late", "late")
            return guest.count("late")

        until("a join", in_the_room)
        emit(scene, f"-r{guest.sid}", "--leave", "late")
        emit(scene, "-r", "late", "left")
        emit(scene, f"-r{guest.sid}", "behind")
        guest.saw("behind")
        assert guest.count("left") == 0
        emit(scene, f"-r{guest.sid}", "--disconnect")
        assert guest.gone.wait(20)


@pytest.mark.parametrize(
    "args",
    [["-x", "pair", "all-but"], ["-r", "pair", "--join", "late"], ["--disconnect"], ["--server-side", "note"], ["--count"], ["--ack", "question"]],
    ids=" ".join,
)
def test_what_the_dialect_cannot_say_is_refused(scene, args):
    done = run(scene, *args)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (64, b"", 1), done.stderr
    assert b"python" in done.stderr
