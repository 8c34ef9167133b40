"""A client that keeps what it hears and answers when it is asked."""

import threading

import engineio
import socketio

from brokers import until


class InOrder(engineio.Client):
    """By itself it starts a thread for each message, and these overtake one another."""

    def _trigger_event(self, event, *args, **options):
        return super()._trigger_event(event, *args, **{**options, "run_async": False})


class Socket(socketio.Client):
    def _engineio_client_class(self):
        return InOrder


class Client:
    def __init__(self, node, *rooms: str, namespace: str = "/", headers: dict | None = None):
        self.heard: list[list] = []
        self.namespace = namespace
        self.gone = threading.Event()
        self.socket = Socket(reconnection=False)
        self.socket.on("*", self._hear, namespace=namespace)
        self.socket.on("disconnect", lambda reason=None: self.gone.set(), namespace=namespace)
        options = {"namespaces": [namespace], "transports": ["websocket"], "wait_timeout": 20}
        self.socket.connect(node.url, headers=headers or {}, **options)
        for room in rooms:
            self.call("join", room)

    def _hear(self, event, *args):
        self.heard.append([event, *args])
        if event == "ask":
            # Bytes in acknowledgements are beyond the dialect.
            return ("answer", *(len(arg) if isinstance(arg, bytes) else arg for arg in args))
        if event == "ask-bytes":
            return b"\x00\xff"
        if event == "ask-nothing":
            return ()
        return None

    @property
    def sid(self) -> str:
        return self.socket.get_sid(self.namespace)

    def call(self, event: str, *args):
        return self.socket.call(event, args, namespace=self.namespace, timeout=20)

    def saw(self, *event) -> list:
        """Waits for an event with these arguments."""
        return until(lambda: f"{event} in {self.heard[-12:]}", lambda: list(event) in self.heard and list(event))

    def count(self, *event) -> int:
        return self.heard.count(list(event))

    def close(self) -> None:
        # Servers with threads do not answer a farewell, for which a client waits three seconds.
        if self.socket.eio.ws:
            self.socket.eio.ws.abort()
        self.socket.disconnect()
        self.socket.shutdown()
