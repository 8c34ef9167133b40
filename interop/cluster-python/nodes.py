"""Nodes as child processes that speak the line protocol of ../cluster: commands in, answers and log entries out."""

import json
import os
import pathlib
import queue
import shlex
import subprocess
import sys
import threading

from brokers import until

HERE = pathlib.Path(__file__).resolve().parent
MEMBER = [sys.executable, str(HERE / "member.py")]
PATIENCE = 60.0

# The node of ours to test; without one the suite proves itself against python-socketio alone.
OURS = shlex.split(os.environ.get("CLUSTER_NODE", ""))


def encode(value):
    """Bytes as the line protocol has them."""
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return [encode(inner) for inner in value]
    if isinstance(value, dict):
        return {key: encode(inner) for key, inner in value.items()}
    return value


def decode(value):
    """And back."""
    if isinstance(value, list):
        return [decode(inner) for inner in value]
    if isinstance(value, dict):
        if isinstance(value.get("$bytes"), str):
            return bytes.fromhex(value["$bytes"])
        return {key: decode(inner) for key, inner in value.items()}
    return value


class Node:
    def __init__(self, command: list[str], *flags: str):
        self.process = subprocess.Popen([*command, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.entries: list[dict] = []
        self.waiting: dict[int, queue.Queue] = {}
        self.asked = 0
        self.lock = threading.Lock()
        first: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(first,), daemon=True).start()
        self.url = first.get(timeout=60)
        assert self.url, f"the node has ended: {command}"

    @staticmethod
    def member(broker, manager: str, channel: str = "socketio") -> "Node":
        return Node(MEMBER, "--manager", manager, "--url", broker.url, "--channel", channel)

    @staticmethod
    def ours(broker, adapter: str, mode: str, *channels: str) -> "Node":
        if not OURS:
            manager = "redis" if adapter == "redis" else "aiopika"
            return Node.member(broker, manager, *channels[:1])
        url = getattr(broker, "strict_url", broker.url)
        channels = channels or ("socketio",)
        # Clusters of other tests on the same broker are kept out of our own wire too.
        flags = ["--prefix", f"ours-{channels[0]}", "--python", mode, "--python-channels", ",".join(channels)]
        return Node(OURS, "--adapter", adapter, "--url", url, *flags)

    def _read(self, first: queue.Queue) -> None:
        for line in self.process.stdout:
            if line.startswith("listening on "):
                first.put(line.removeprefix("listening on ").strip())
            elif line.startswith("{"):
                entry = json.loads(line)
                if "answer" in entry:
                    self.waiting.pop(entry["answer"]).put(entry)
                else:
                    self.entries.append(entry)
        first.put("")

    def do(self, what: str, patience: float = PATIENCE, **parameters) -> dict:
        """Has the node do something; its answer."""
        answer: queue.Queue[dict] = queue.Queue()
        with self.lock:
            self.asked += 1
            number = self.asked
            self.waiting[number] = answer
            self.process.stdin.write(json.dumps({"id": number, "do": what, **encode(parameters)}) + "\n")
            self.process.stdin.flush()
        entry = decode(answer.get(timeout=patience))
        if "error" in entry:
            raise RuntimeError(f"{what}: {entry['error']}")
        return entry

    def entry(self, **fields) -> dict:
        """Waits for a log entry with these fields."""
        return until(
            lambda: f"{fields} in {self.entries[-12:]}",
            lambda: next((entry for entry in self.entries if fields.items() <= entry.items()), None),
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
