"""A python-socketio client in a room of the demo, led over stdin and heard over stdout.

Each line out is `{"event": ..., "args": [...]}`; each line in is the same, and is published to the room.
Bytes are written as `{"hex": "..."}` in both directions.
"""

import json
import sys
import threading

import socketio


def to_json(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [to_json(inner) for inner in value]
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    return value


def from_json(value):
    if isinstance(value, dict) and set(value) == {"hex"}:
        return bytes.fromhex(value["hex"])
    if isinstance(value, list):
        return [from_json(inner) for inner in value]
    if isinstance(value, dict):
        return {key: from_json(inner) for key, inner in value.items()}
    return value


def main(url, room):
    client = socketio.Client(reconnection=False)
    lock = threading.Lock()

    def tell(event, *args):
        line = json.dumps({"event": event, "args": to_json(list(args))}) + "\n"
        # Handlers run in threads of their own, and print() writes text and line end apart.
        with lock:
            sys.stdout.write(line)
            sys.stdout.flush()

    client.on("*", tell)
    client.connect(url)
    tell("joined", client.call("join", room))
    for line in sys.stdin:
        command = json.loads(line)
        client.call("publish", (room, command["event"], *from_json(command["args"])))
    client.disconnect()


main(*sys.argv[1:])
