"""External emitters of the python-socketio family reach the clients of our node, beside our own wire."""

import asyncio
import os
import pathlib
import subprocess
import sys
import types

import pytest
import socketio
from flask_socketio import SocketIO

from brokers import until
from clients import Client
from nodes import OURS, Node

HERE = pathlib.Path(__file__).resolve().parent


class Asynchronous:
    """A write-only manager with asyncio, driven from here."""

    def __init__(self, manager):
        self.loop = asyncio.new_event_loop()
        self.manager = manager

    def _run(self, call):
        self.loop.run_until_complete(call)

    def emit(self, event, data, **options):
        self._run(self.manager.emit(event, data, **options))

    def disconnect(self, sid):
        self._run(self.manager.can_disconnect(sid, "/"))

    def enter_room(self, sid, room):
        self._run(self.manager.enter_room(sid, "/", room))

    def leave_room(self, sid, room):
        self._run(self.manager.leave_room(sid, "/", room))

    def close_room(self, room):
        self._run(self.manager.close_room(room, "/"))

    def close(self):
        async def end():
            if getattr(self.manager, "publisher_connection", None):
                await self.manager.publisher_connection.close()
            if getattr(self.manager, "redis", None):
                await self.manager.redis.aclose()

        self._run(end())
        self.loop.close()


class Threaded:
    """A write-only manager without asyncio."""

    def __init__(self, manager):
        self.manager = manager

    def emit(self, event, data, **options):
        self.manager.emit(event, data, options.pop("namespace", "/"), **options)

    def enter_room(self, sid, room):
        self.manager.enter_room(sid, "/", room)

    def leave_room(self, sid, room):
        self.manager.leave_room(sid, "/", room)

    def close_room(self, room):
        self.manager.close_room(room, "/")

    def close(self):
        if isinstance(self.manager, socketio.KombuManager):
            self.manager.publisher_connection.release()


class Flask:
    """Flask-SocketIO without an app, which only emits; on the channel that it has by itself."""

    def __init__(self, url):
        self.socketio = SocketIO(message_queue=url)

    def emit(self, event, data, **options):
        self.socketio.emit(event, data, **options)

    def close_room(self, room):
        self.socketio.close_room(room, namespace="/")

    def close(self):
        pass


EMITTERS = {
    "redis-AsyncRedisManager": lambda url: Asynchronous(socketio.AsyncRedisManager(url, write_only=True)),
    "redis-RedisManager": lambda url: Threaded(socketio.RedisManager(url, write_only=True)),
    "redis-KombuManager": lambda url: Threaded(socketio.KombuManager(url, write_only=True)),
    "redis-Flask": Flask,
    "amqp-AsyncAioPikaManager": lambda url: Asynchronous(socketio.AsyncAioPikaManager(url, write_only=True)),
    "amqp-KombuManager": lambda url: Threaded(socketio.KombuManager(url, write_only=True)),
    "amqp-Flask": Flask,
}


class Carrier:
    """A broker, and two nodes of ours that listen; two, since they must not make two copies."""

    def __init__(self, adapter, broker, ending):
        self.broker = broker
        # As python-socketio and Flask-SocketIO have them by themselves.
        channels = ["socketio", "flask-socketio"]
        if adapter == "redis":
            # Kombu's name for the exchange `socketio` in the database 0.
            channels.append("/0.socketio")
        self.node = ending(Node.ours(broker, adapter, "listen", *channels))
        self.second = ending(Node.ours(broker, adapter, "listen", *channels))


@pytest.fixture(scope="module")
def redis_carrier(redis, ending):
    return Carrier("redis", redis, ending)


@pytest.fixture(scope="module")
def amqp_carrier(rabbitmq, ending):
    return Carrier("amqp", rabbitmq, ending)


@pytest.fixture(params=EMITTERS)
def world(request):
    adapter, name = request.param.split("-")
    if request.param in ("amqp-Flask", "redis-Flask", "redis-KombuManager") and not OURS:
        pytest.skip("python-socketio hears one channel")
    carrier = request.getfixturevalue(f"{adapter}_carrier")
    emitter = EMITTERS[request.param](carrier.broker.url)
    one, two = Client(carrier.node, "lobby"), Client(carrier.node)
    far, custom = Client(carrier.second, "lobby", "side"), Client(carrier.node, "lobby", namespace="/custom")
    world = types.SimpleNamespace(emitter=emitter, name=name, one=one, two=two, far=far, custom=custom, carrier=carrier)
    world.all = [one, two, far]

    def heard():
        emitter.emit("probe", request.param)
        return all(["probe", request.param] in client.heard for client in world.all)

    until("an emitter that is heard", heard)
    yield world
    for client in [*world.all, custom]:
        client.close()
    emitter.close()


def heard(world, event, *args) -> list:
    """Who heard an event, once a second one has reached all."""
    world.emitter.emit("end", event)
    for client in world.all:
        client.saw("end", event)
        assert client.count(event, *args) == sum(1 for entry in client.heard if entry[0] == event) <= 1
    return [client for client in world.all if client.count(event, *args)]


@pytest.mark.parametrize(
    ("data", "args"),
    [
        ("hello", ["hello"]),
        (None, []),
        ((), []),
        ({"a": 1, "u": "é☃"}, [{"a": 1, "u": "é☃"}]),
        ([1, "two"], [[1, "two"]]),
        ((1, "two"), [1, "two"]),
        (b"\x00\x01\x02\xff", [b"\x00\x01\x02\xff"]),
        ({"k": b"\x01", "l": [b"\x02", 3]}, [{"k": b"\x01", "l": [b"\x02", 3]}]),
        ((b"\x01", {"x": b"\x02"}), [b"\x01", {"x": b"\x02"}]),
        ([b"\x01", b"\x02"], [[b"\x01", b"\x02"]]),
        (0, [0]),
        (2**53 - 1, [2**53 - 1]),
    ],
    ids=repr,
)
def test_arguments(world, data, args):
    world.emitter.emit("note", data)
    # Flask-SocketIO says `None` where nothing was given.
    assert heard(world, "note", *args) == world.all


def test_rooms_and_those_left_out(world):
    world.emitter.emit("to a room", 1, room="lobby")
    assert heard(world, "to a room", 1) == [world.one, world.far]
    world.emitter.emit("to one", 2, room=world.two.sid)
    assert heard(world, "to one", 2) == [world.two]
    world.emitter.emit("to nobody", 3, room="nobody is here")
    assert heard(world, "to nobody", 3) == []
    world.emitter.emit("but one", 4, skip_sid=world.one.sid)
    assert heard(world, "but one", 4) == [world.two, world.far]
    world.emitter.emit("but two", 5, skip_sid=[world.one.sid, world.far.sid])
    assert heard(world, "but two", 5) == [world.two]
    if world.name != "Flask":
        world.emitter.emit("to rooms", 6, room=["lobby", "side", world.two.sid])
        assert heard(world, "to rooms", 6) == world.all


def test_namespaces(world):
    world.emitter.emit("custom", "x", namespace="/custom")
    world.emitter.emit("custom", "lobby", namespace="/custom", room="lobby")
    world.emitter.emit("custom", "y", namespace="/unknown")
    world.custom.saw("custom", "x")
    world.custom.saw("custom", "lobby")
    assert heard(world, "custom") == []
    assert sum(1 for entry in world.custom.heard if entry[0] == "custom") == 2


def test_rooms_change_from_outside(world):
    if not hasattr(world.emitter, "enter_room"):
        pytest.skip("Flask-SocketIO enters and leaves by requests only")
    world.emitter.enter_room(world.two.sid, "vip")
    world.emitter.enter_room(world.far.sid, "vip")
    world.emitter.emit("vip", 1, room="vip")
    assert heard(world, "vip", 1) == [world.two, world.far]
    world.emitter.leave_room(world.two.sid, "vip")
    world.emitter.emit("vip again", 2, room="vip")
    assert heard(world, "vip again", 2) == [world.far]
    world.emitter.close_room("vip")
    world.emitter.emit("vip no more", 3, room="vip")
    assert heard(world, "vip no more", 3) == []


def test_a_room_is_closed(world):
    world.emitter.close_room("lobby")
    world.emitter.emit("lobby", 1, room="lobby")
    assert heard(world, "lobby", 1) == []


def test_a_client_is_disconnected(world):
    if not hasattr(world.emitter, "disconnect"):
        pytest.skip("only the managers with asyncio can")
    sid = world.far.sid
    world.emitter.disconnect(sid)
    assert world.far.gone.wait(20)
    world.carrier.second.entry(event="disconnect", id=sid)
    assert not world.one.gone.is_set()


@pytest.mark.parametrize("adapter", ["redis", "amqp"])
def test_a_celery_task_tells_the_clients(adapter, request):
    if not OURS:
        pytest.skip("python-socketio hears one channel")
    carrier = request.getfixturevalue(f"{adapter}_carrier")
    client = Client(carrier.node, "job 7", namespace="/custom")
    other = Client(carrier.node, namespace="/custom")
    env = {**os.environ, "MESSAGE_QUEUE": carrier.broker.url, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "info"]
    worker = subprocess.Popen(
        command, cwd=carrier.broker.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # As a web process hands over a job.
        code = "import tasks; tasks.report.delay('job 7', 3)"
        subprocess.run([sys.executable, "-c", code], cwd=HERE, env=env, check=True, timeout=60)
        until(lambda: f"the task's events in {client.heard}", lambda: client.count("done", "job 7", b"\x00\xff"), 90)
        assert client.heard == [*(["progress", {"step": step, "of": 3}] for step in (1, 2, 3)), ["done", "job 7", b"\x00\xff"]]
        assert other.heard == []
    finally:
        worker.kill()
        worker.wait()
        client.close()
        other.close()
