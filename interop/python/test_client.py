"""`socketio.Client` and `socketio.AsyncClient`: one suite for both."""

import itertools
import queue
import threading

import pytest
import socketio
from socketio.exceptions import ConnectionError, TimeoutError

from cases import BEYOND_BMP, EVERY_JSON_TYPE, LONGEST_TEXT, OVERSIZE_REASONS, TREE, TREE_SEEN
from faces import BlockingAsyncClient
from server import PATIENCE

rooms = (f"python {n} 🏠" for n in itertools.count())


class Inbox(dict):
    """A queue for each event name, filled by the catch-all handler."""

    def __missing__(self, event):
        return self.setdefault(event, queue.Queue())

    def next(self, event):
        return self[event].get(timeout=PATIENCE)


@pytest.fixture(params=[socketio.Client, BlockingAsyncClient], ids=["Client", "AsyncClient"])
def new_client(request):
    clients = []

    def make(**options):
        clients.append(request.param(reconnection_delay=0.01, reconnection_delay_max=0.05, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.reconnection = False
        client.disconnect()
        client.shutdown()


@pytest.fixture
def connect(new_client, server, transports, mode):
    def open_client(namespace="/", auth=None, to=server, **options):
        client = new_client(**options)
        client.inbox = inbox = Inbox()
        for name in [namespace] if isinstance(namespace, str) else namespace:
            client.on("*", lambda event, *args: inbox[event].put(args), namespace=name)
            client.on("connect", lambda: inbox["connect"].put(()), namespace=name)
            client.on("disconnect", lambda reason: inbox["disconnect"].put(reason), namespace=name)
        client.connect(to.url, auth=auth, namespaces=namespace, transports=transports, wait_timeout=PATIENCE)
        assert client.transport() == ("polling" if mode == "polling" else "websocket")
        return client

    return open_client


def ask(client, event, *args, namespace="/"):
    return client.call(event, args, namespace=namespace, timeout=PATIENCE)


def test_connects_with_auth(connect):
    client = connect("/token", auth={"token": "secret", "name": BEYOND_BMP})
    assert client.inbox.next("auth") == ({"token": "secret", "name": BEYOND_BMP},)
    state = ask(client, "state", namespace="/token")
    assert state["id"] == client.get_sid("/token")
    assert state["rooms"] == [state["id"]]
    assert state["id"] != client.eio.sid


@pytest.mark.parametrize(
    ("namespace", "refusal"),
    [
        ("/deny", {"message": "nope", "data": {"code": 1, "why": ["because"]}}),
        ("/token", {"message": "not authorized", "data": {"missing": "token"}}),
        ("/unknown", {"message": "Invalid namespace"}),
    ],
)
def test_is_refused_with_message_and_data(new_client, server, transports, namespace, refusal):
    client = new_client(reconnection=False)
    refusals = queue.Queue()
    client.on("connect_error", refusals.put, namespace=namespace)
    with pytest.raises(ConnectionError):
        client.connect(server.url, namespaces=namespace, transports=transports, wait_timeout=PATIENCE)
    assert refusals.get(timeout=PATIENCE) == refusal


def test_joins_static_and_dynamic_namespaces(connect):
    names = ["/", "/custom", "/dynamic-1"]
    client = connect(names)
    assert [ask(client, "state", namespace=name)["nsp"] for name in names] == names
    assert len({client.get_sid(name) for name in names}) == 3


def test_carries_every_json_type_and_unicode(connect):
    client = connect()
    client.emit("message", tuple(EVERY_JSON_TYPE))
    assert list(client.inbox.next("message-back")) == EVERY_JSON_TYPE
    for value in [*EVERY_JSON_TYPE, BEYOND_BMP, BEYOND_BMP * 500, {BEYOND_BMP: [BEYOND_BMP]}]:
        assert ask(client, "message-with-ack", value) == value


def test_carries_binary_nested_in_objects(connect):
    client = connect()
    big = b"\xa5" * 200_000
    client.emit("message", (b"\x01\x02", TREE, "text", big))
    assert client.inbox.next("message-back") == (b"\x01\x02", TREE, "text", big)
    assert ask(client, "message-with-ack", TREE) == TREE
    assert ask(client, "describe", TREE, b"\x03") == [TREE_SEEN, {"bytes": "03"}]


def test_acknowledges_both_ways(connect):
    client = connect()
    assert ask(client, "message-with-ack", 1, "2", [3], {"four": b"\x04"}) == (1, "2", [3], {"four": b"\x04"})
    client.on("question", lambda *args: ("reply", *args))
    assert ask(client, "ask", 10_000, 1, b"\x02") == ("answer", "reply", 1, b"\x02")


def test_runs_into_the_timeout_of_an_acknowledgement(connect):
    client = connect()
    with pytest.raises(TimeoutError):
        client.call("no-ack", timeout=0.05)
    # The client answers everything sooner or later; here later than the server waits.
    released = threading.Event()
    client.on("question", lambda *args: released.wait(0.5))
    assert ask(client, "ask", 50, "anyone?") == "timeout"
    assert ask(client, "message-with-ack", "alive") == "alive"


def test_reaches_rooms(connect):
    a, b = connect(), connect()
    room = next(rooms)
    for client in (a, b):
        ask(client, "join", room)
    assert ask(a, "fetch", room) == sorted([a.get_sid(), b.get_sid()])
    a.emit("to-room", (room, "news", 1, b"\x01"))
    assert b.inbox.next("news") == (1, b"\x01")
    b.emit("in-room", (room, "news", 2))
    assert a.inbox.next("news") == (2,)
    assert b.inbox.next("news") == (2,)
    ask(b, "leave", room)
    a.emit("in-room", (room, "news", 3))
    assert a.inbox.next("news") == (3,)
    ask(b, "message-with-ack")
    assert b.inbox["news"].empty()


def test_gets_volatile_events(connect, mode):
    client = connect()
    while True:
        client.emit("volatile", ("gauge", 1))
        try:
            # Between two polls a volatile event is dropped, by right.
            assert client.inbox["gauge"].get(timeout=0.5 if mode == "polling" else PATIENCE) == (1,)
            break
        except queue.Empty:
            assert mode == "polling"
    client.emit("volatile-flood", (200, 1000))
    assert client.inbox.next("flood-end") == (200,)


def test_comes_back_after_the_server_dropped_the_transport(server, connect, mode):
    client = connect()
    client.inbox.next("connect")
    sid = client.get_sid()
    client.emit("drop-transport")
    reason = client.inbox.next("disconnect")
    assert server.reason(sid) == "forced close"
    if mode == "polling":
        # There the close is a packet, after which this client stays away.
        assert reason == "server disconnect"
        client.connect(server.url, transports=["polling"], wait_timeout=PATIENCE)
    else:
        assert reason == "transport error"
    client.inbox.next("connect")
    assert client.get_sid() != sid
    assert ask(client, "message-with-ack", "back") == "back"


@pytest.mark.parametrize("close", [False, True])
def test_is_thrown_out(server, connect, close):
    client = connect("/custom", reconnection=False)
    sid = client.get_sid("/custom")
    client.emit("disconnect-me", close, namespace="/custom")
    assert client.inbox.next("disconnect") == "server disconnect"
    assert server.reason(sid, "/custom") == "server namespace disconnect"


def test_leaves(server, connect, mode):
    client = connect()
    sid = client.get_sid()
    client.disconnect()
    assert client.inbox.next("disconnect") == "client disconnect"
    # It sends DISCONNECT and the end of the connection in one breath; Node acts on the second first. Over polling
    # AsyncClient may stop writing before it has sent either.
    reasons = {"client namespace disconnect", "transport close"}
    assert server.reason(sid) in (reasons | {"ping timeout"} if mode == "polling" else reasons)


def test_sends_1_mb_and_not_one_byte_more(impatient_server, connect, mode):
    client = connect(to=impatient_server, reconnection=False)
    # Acknowledged, so that the client cannot put a second packet into the same body.
    assert ask(client, "message-with-ack", LONGEST_TEXT) == LONGEST_TEXT
    sid = client.get_sid()
    client.emit("message-with-ack", LONGEST_TEXT + "x", callback=lambda *args: None)
    client.inbox.next("disconnect")
    assert impatient_server.reason(sid) == OVERSIZE_REASONS[mode]


def test_keeps_the_order_of_500_events(connect):
    client = connect()
    for index in range(500):
        client.emit("note", index)
    assert ask(client, "noted") == list(range(500))


def test_gets_a_burst_in_full(connect):
    client = connect()
    client.emit("burst", 2000)
    assert sorted(client.inbox.next("item")[0] for _ in range(2000)) == list(range(2000))
