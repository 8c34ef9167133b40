"""A server of python-socketio and a node of ours as one cluster: all methods of the dialect, both ways."""

import base64
import concurrent.futures
import types

import kombu
import pytest
import redis

from brokers import until
from clients import Client
from nodes import OURS, Node

# Over RabbitMQ Flask-SocketIO takes Kombu.
CLUSTERS = [("redis", "redis"), ("redis", "kombu"), ("redis", "flask"), ("amqp", "aiopika"), ("amqp", "flask")]


@pytest.fixture(scope="module", params=CLUSTERS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def cluster(request, ending):
    adapter, manager = request.param
    enveloped = request.param == ("redis", "kombu")
    if enveloped and not OURS:
        pytest.skip("python-socketio has nothing else that speaks Kombu's way on Redis")
    broker = request.getfixturevalue("redis" if adapter == "redis" else "rabbitmq")
    # A channel of this cluster's own keeps the others on the same broker out.
    channel = f"member-{adapter}-{manager}"
    theirs = ending(Node.member(broker, manager, channel))
    ours = ending(Node.ours(broker, adapter, "member", f"/0.{channel}" if enveloped else channel))
    made = types.SimpleNamespace(adapter=adapter, broker=broker, channel=channel, manager=manager, theirs=theirs, ours=ours)
    made.client = lambda node, *rooms, **options: ending(Client(node, *rooms, **options))
    made.t1, made.t2 = made.client(theirs, "pair"), made.client(theirs)
    made.o1, made.o2 = made.client(ours, "pair"), made.client(ours)
    made.all = [made.t1, made.t2, made.o1, made.o2]
    # Who subscribed last hears from the others from some moment on.
    for number, node in enumerate([theirs, ours]):

        def heard():
            node.do("emit", event="probe", args=[number])
            return all(["probe", number] in client.heard for client in made.all)

        until("nodes that hear each other", heard)
    return made


@pytest.fixture(params=["theirs", "ours"])
def sides(request, cluster):
    """The node that speaks, the other one, and the clients of each."""
    t, o = [cluster.t1, cluster.t2], [cluster.o1, cluster.o2]
    if request.param == "theirs":
        return types.SimpleNamespace(one=cluster.theirs, two=cluster.ours, near=t, far=o, name="theirs")
    return types.SimpleNamespace(one=cluster.ours, two=cluster.theirs, near=o, far=t, name="ours")


serial = 0


def heard(cluster, node, args=(), **parameters) -> list:
    """Emits an event, and says who heard it; a second event to all shows that nobody will any more."""
    global serial
    serial += 1
    event = f"event {serial}"
    node.do("emit", event=event, args=list(args), **parameters)
    node.do("emit", event="end", args=[serial])
    for client in cluster.all:
        client.saw("end", serial)
    for client in cluster.all:
        assert client.count(event, *args) == sum(1 for entry in client.heard if entry[0] == event) <= 1
    return [client for client in cluster.all if client.count(event, *args)]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["hello"],
        [1, -2.5, "é€😀\"\\", None, True, {"deep": [{"er": [0]}]}],
        [[1, "two"]],
        [[]],
        [{}],
        [b"\x00\x01\x02\xff"],
        [{"k": b"\x01", "l": [b"\x02", 3]}, b""],
        [[b"\x01", b"\x02"]],
        [2**53 + 1, "x" * 100_000],
    ],
    ids=repr,
)
def test_an_event_for_all_reaches_all_as_it_is(cluster, sides, args):
    assert heard(cluster, sides.one, args) == cluster.all


def test_events_keep_their_order(cluster, sides):
    for number in range(200):
        sides.one.do("emit", event="count", args=[sides.name, number])
    for client in cluster.all:
        client.saw("count", sides.name, 199)
        numbers = [entry[2] for entry in client.heard if entry[:2] == ["count", sides.name]]
        assert numbers == list(range(200))


def test_rooms(cluster, sides):
    near, far = sides.near, sides.far
    assert heard(cluster, sides.one, ["in"], to=["pair"]) == [cluster.t1, cluster.o1]
    assert heard(cluster, sides.one, ["one"], to=[far[1].sid]) == [far[1]]
    union = heard(cluster, sides.one, ["union"], to=["pair", far[0].sid, near[1].sid])
    assert union == [client for client in cluster.all if client is not far[1]]
    assert heard(cluster, sides.one, ["nobody"], to=["nobody is here"]) == []


def test_sockets_are_left_out(cluster, sides):
    left_out = heard(cluster, sides.one, ["all but one"], **{"except": [sides.far[0].sid]})
    assert left_out == [client for client in cluster.all if client is not sides.far[0]]
    left_out = heard(cluster, sides.one, ["pair but near"], to=["pair"], **{"except": [sides.near[0].sid, "unknown"]})
    if sides.name == "ours" and OURS:
        # A room cannot be left out in this dialect, so nobody there gets it.
        assert left_out == []
    else:
        assert left_out == [sides.far[0]]


def test_a_room_left_out_never_hears(cluster):
    if not OURS:
        pytest.skip("python-socketio leaves out single sockets only")
    assert heard(cluster, cluster.ours, ["spared"], **{"except": ["pair"]}) == [cluster.o2]


def test_namespaces(cluster, sides):
    near = cluster.client(sides.one, "pair", namespace="/custom")
    far = cluster.client(sides.two, "pair", namespace="/custom")
    for to in [[], ["pair"], [far.sid]]:
        sides.one.do("emit", nsp="/custom", to=to, event="custom", args=[to])
        far.saw("custom", to)
    near.saw("custom", ["pair"])
    assert not any(entry[0] == "custom" for client in cluster.all for entry in client.heard)
    near.close()
    far.close()


@pytest.mark.parametrize("args", [[], ["x"], ["x", 2], [{"n": [1]}], [b"\x01\x02", "y"]], ids=repr)
def test_one_client_is_asked(sides, args):
    [reply] = sides.one.do("ask", to=[sides.far[0].sid], event="ask", args=args)["replies"]
    expected = [len(arg) if isinstance(arg, bytes) else arg for arg in args]
    # An only argument comes bare.
    assert reply == (["answer", *expected] if expected else "answer")


def test_nothing_is_an_answer_too(sides):
    [reply] = sides.one.do("ask", to=[sides.far[1].sid], event="ask-nothing", args=[])["replies"]
    assert reply in (None, [])


def test_many_questions_at_once_do_not_mix(cluster, sides):
    # A KombuManager publishes from all threads over one connection, which breaks it.
    kombu = cluster.manager == "kombu" or (cluster.adapter, cluster.manager) == ("amqp", "flask")
    with concurrent.futures.ThreadPoolExecutor(1 if kombu else 16) as pool:

        def ask(number):
            client = sides.far[number % 2]
            return sides.one.do("ask", to=[client.sid], event="ask", args=[number])["replies"]

        assert list(pool.map(ask, range(64))) == [[["answer", number]] for number in range(64)]


def test_a_whole_room_is_asked_by_ours(cluster):
    if not OURS:
        pytest.skip("python-socketio takes the first answer only")
    replies = cluster.ours.do("ask", to=["pair"], event="ask", args=["all"], flags={"timeout": 3000})["replies"]
    assert replies == [["answer", "all"]] * 2


def test_bytes_in_an_answer_arrive_as_text(cluster):
    if not OURS:
        pytest.skip("python-socketio cannot send them at all")
    [reply] = cluster.theirs.do("ask", to=[cluster.o1.sid], event="ask-bytes", args=[])["replies"]
    assert reply == base64.b64encode(b"\x00\xff").decode()


def test_what_the_dialect_cannot_say_is_counted(cluster):
    if not OURS:
        pytest.skip("python-socketio does not offer it")
    before = cluster.ours.do("status")["untranslated"]
    cluster.ours.do("emit", event="spared", args=[], **{"except": ["pair"]})
    cluster.ours.do("server-emit", nsp="/", event="note", args=[])
    cluster.ours.do("join", to=["pair"], rooms=["more"])
    cluster.ours.do("emit", event="volatile", args=[], flags={"volatile": True})
    assert cluster.ours.do("status")["untranslated"] == before + 4
    for client in cluster.all:
        client.saw("volatile")


def test_rooms_are_entered_left_and_closed(cluster, sides):
    one, far = sides.one, sides.far
    name = f"club of {sides.name}"

    def members(expected):
        # Entering has no answer, and takes its way by the other node; but the event comes behind it.
        assert heard(cluster, one, [name], to=[name]) == expected

    one.do("join", to=[far[0].sid], rooms=[name])
    one.do("join", to=[far[1].sid], rooms=[name])
    members([client for client in cluster.all if client in far])
    one.do("leave", to=[far[0].sid], rooms=[name])
    members([far[1]])
    sides.near[0].call("join", name)
    members([client for client in cluster.all if client in (far[1], sides.near[0])])
    one.do("leave", to=[name], rooms=[name])
    members([])


def test_a_client_is_disconnected(cluster, sides):
    goes = cluster.client(sides.two, "pair")
    stays = cluster.client(sides.two)
    sid = goes.sid
    sides.one.do("disconnect", to=[sid], close=False)
    assert goes.gone.wait(20)
    sides.two.entry(event="disconnect", id=sid)
    sides.one.do("emit", event="after", args=[sides.name])
    stays.saw("after", sides.name)
    assert not stays.gone.is_set()
    stays.close()


def test_what_is_no_message_stops_nobody(cluster, sides):
    if (cluster.adapter, cluster.manager) == ("redis", "kombu"):
        pytest.skip("stops Kombu itself")
    noise = [
        b"",
        b"\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x06method\x94\x8c\x04emit\x94s.",
        b"{",
        b"[]",
        b'{"method":"emit"}',
        b'{"method":"emit","event":"noise","data":[NaN,Infinity,"\\ud800",123456789012345678901234567890],"namespace":"/","room":null}',
        b'{"method":"emit","event":"noise","data":["x"],"binary":true,"namespace":"/","room":[]}',
        b'{"method":"callback","host_id":"unknown","sid":"a","namespace":"/","id":1,"args":[]}',
        b"[" * 100_000,
    ]
    publish(cluster.adapter, cluster.broker, cluster.channel, noise)
    assert heard(cluster, sides.one, ["after the noise"]) == cluster.all


def publish(adapter, broker, channel, bodies):
    if adapter == "redis":
        with redis.Redis.from_url(broker.url) as connection:
            for body in bodies:
                connection.publish(channel, body)
        return
    with kombu.Connection(broker.url) as connection:
        exchange = kombu.Exchange(channel, type="fanout", durable=False)
        producer = connection.Producer(exchange=exchange)
        for body in bodies:
            producer.publish(body, content_type="application/octet-stream", content_encoding="binary")
