"""A server of python-socketio as a member of the cluster, with the line protocol of ../cluster."""

import argparse
import asyncio
import json
import sys
import threading

import socketio
from aiohttp import web
from flask import Flask
from flask_socketio import SocketIO

from nodes import decode, encode

NAMESPACES = ["/", "/custom"]

parser = argparse.ArgumentParser()
parser.add_argument("--manager", choices=["redis", "aiopika", "kombu", "flask"], required=True)
parser.add_argument("--url", required=True)
parser.add_argument("--channel", default="socketio")
flags = parser.parse_args()


output = threading.Lock()


def say(entry: dict) -> None:
    with output:
        print(json.dumps(entry), flush=True)


def data(args: list):
    """Arguments as `emit` wants them."""
    return tuple(args)


def several(values: list):
    """`room` or `skip_sid` of a list that may be empty."""
    return values if len(values) > 1 else next(iter(values), None)


def handlers(io, namespace: str, enter) -> None:
    def connect(sid, environ, auth):
        say({"event": "connection", "nsp": namespace, "id": sid})

    def disconnect(sid, reason):
        say({"event": "disconnect", "nsp": namespace, "id": sid, "reason": reason})

    io.on("connect", connect, namespace=namespace)
    io.on("disconnect", disconnect, namespace=namespace)
    io.on("join", enter, namespace=namespace)


class Asynchronous:
    """With asyncio and aiohttp."""

    def __init__(self):
        managers = {"redis": socketio.AsyncRedisManager, "aiopika": socketio.AsyncAioPikaManager}
        manager = managers[flags.manager](flags.url, channel=flags.channel)
        self.io = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)
        for namespace in NAMESPACES:

            async def enter(sid, room, namespace=namespace):
                await self.io.enter_room(sid, room, namespace=namespace)

            handlers(self.io, namespace, enter)

    async def perform(self, command: dict):
        nsp, to = command.get("nsp", "/"), command.get("to", [])
        match command["do"]:
            case "emit":
                skip = several(command.get("except", []))
                await self.io.emit(command["event"], data(command["args"]), room=several(to), skip_sid=skip, namespace=nsp)
            case "ask":
                reply = await self.io.call(command["event"], data(command["args"]), to=to[0], namespace=nsp, timeout=10)
                return {"replies": encode([reply])}
            case "join":
                await self.io.enter_room(to[0], command["rooms"][0], namespace=nsp)
            case "leave" if to == command["rooms"]:
                await self.io.close_room(to[0], namespace=nsp)
            case "leave":
                await self.io.leave_room(to[0], command["rooms"][0], namespace=nsp)
            case "disconnect":
                await self.io.disconnect(to[0], namespace=nsp)
            case unknown:
                raise ValueError(unknown)

    async def answer(self, command: dict) -> None:
        try:
            say({"answer": command["id"], **(await self.perform(command) or {})})
        except Exception as error:  # What goes wrong is for the test to judge.
            say({"answer": command["id"], "error": repr(error)})

    async def run(self) -> None:
        app = web.Application()
        self.io.attach(app)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        loop, tasks = asyncio.get_running_loop(), set()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            task = asyncio.ensure_future(self.answer(decode(json.loads(line))))
            # The loop itself would let it be collected while it waits.
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def nothing(environ, start_response):
    start_response("404 Not Found", [])
    return []


class Threaded:
    """With threads, which Kombu needs; or as Flask-SocketIO makes a server, which picks the manager by the URL."""

    def __init__(self):
        if flags.manager == "flask":
            self.app = Flask("member")
            flask = SocketIO(self.app, message_queue=flags.url, channel=flags.channel, async_mode="threading")
            self.io, self.emit = flask.server, flask.emit
        else:
            manager = socketio.KombuManager(flags.url, channel=flags.channel)
            self.io = socketio.Server(async_mode="threading", client_manager=manager)
            self.app, self.emit = socketio.WSGIApp(self.io, nothing), self.io.emit
        for namespace in NAMESPACES:

            def enter(sid, room, namespace=namespace):
                self.io.enter_room(sid, room, namespace=namespace)

            handlers(self.io, namespace, enter)

    def perform(self, command: dict):
        nsp, to = command.get("nsp", "/"), command.get("to", [])
        match command["do"]:
            case "emit":
                skip = several(command.get("except", []))
                self.emit(command["event"], data(command["args"]), to=several(to), skip_sid=skip, namespace=nsp)
            case "ask":
                reply = self.io.call(command["event"], data(command["args"]), to=to[0], namespace=nsp, timeout=10)
                return {"replies": encode([reply])}
            case "join":
                self.io.enter_room(to[0], command["rooms"][0], namespace=nsp)
            case "leave" if to == command["rooms"]:
                self.io.close_room(to[0], namespace=nsp)
            case "leave":
                self.io.leave_room(to[0], command["rooms"][0], namespace=nsp)
            case "disconnect":
                self.io.disconnect(to[0], namespace=nsp)
            case unknown:
                raise ValueError(unknown)

    def answer(self, command: dict) -> None:
        try:
            say({"answer": command["id"], **(self.perform(command) or {})})
        except Exception as error:
            say({"answer": command["id"], "error": repr(error)})

    def run(self) -> None:
        from werkzeug.serving import make_server

        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
        for line in sys.stdin:
            threading.Thread(target=self.answer, args=(decode(json.loads(line)),), daemon=True).start()


if flags.manager in ("kombu", "flask"):
    Threaded().run()
else:
    asyncio.run(Asynchronous().run())
