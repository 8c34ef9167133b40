"""The stock node and the command `socketio-emit`, as an operator starts them."""

import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time
import urllib.request

from brokers import until

NODE = os.environ["SOCKETIO_NODE_BIN"]
EMIT = os.environ["SOCKETIO_EMIT"]
PREFIXES = ("SOCKETIO_", "OTEL_", "TRACE")


def environment(more: dict | None = None) -> dict:
    """Nothing that our programs read, but what is given."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith(PREFIXES)}
    return {**plain, **(more or {})}


class StockNode:
    def __init__(self, *flags: str, env: dict | None = None):
        command = [NODE, "--port", "0", "--log-format", "json", "--worker-threads", "1", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(env))
        self.lines: list[dict] = []
        started: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, args=(started,), daemon=True).start()
        line = started.get(timeout=60)
        assert line, f"the node has ended: {self.lines}"
        self.url = line["address"]
        self.name = line["node"]

    def _read(self, started: queue.Queue) -> None:
        for text in self.process.stderr:
            line = json.loads(text)
            self.lines.append(line)
            if line["message"] == "listening":
                started.put(line)
        started.put(None)

    def said(self, message: str) -> list[dict]:
        return [line for line in self.lines if line["message"] == message]

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(number) for name, number in pairs}

    def counts(self, **expected: int) -> dict[str, float]:
        """Waits for these numbers about spans at least: exported, and dropped by reason."""

        def found():
            metrics = self.metrics()
            named = {
                "exported": metrics["socketio_traces_spans_exported_total"],
                "queued": metrics["socketio_traces_queue_spans"],
                **{
                    reason: metrics[f'socketio_traces_spans_dropped_total{{reason="{reason}"}}']
                    for reason in ("export_failed", "queue_full", "shutdown")
                },
            }
            return all(named[name] >= number for name, number in expected.items()) and named

        return until(lambda: f"{expected}: {found()} {self.metrics()}", found)

    def connections(self) -> set[tuple[str, str]]:
        """The TCP connections of the process that it began itself, as local and remote address."""
        folder = pathlib.Path(f"/proc/{self.process.pid}/fd")
        inodes = set()
        for entry in folder.iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:["):
                inodes.add(target.removeprefix("socket:[").removesuffix("]"))
        port = f"{int(self.url.rsplit(':', 1)[1]):04X}"
        found = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                _, local, remote, *rest = line.split()
                if rest[6] in inodes and not local.endswith(f":{port}"):
                    found.add((local, remote))
        return found

    def stop(self, patience: float = 30.0) -> tuple[int, float]:
        """Ends it as a supervisor does; its exit code, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience), time.monotonic() - began

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def emit(*args: str, env: dict | None = None, patience: float = 60.0) -> subprocess.CompletedProcess:
    return subprocess.run([EMIT, *args], capture_output=True, text=True, env=environment(env), timeout=patience)
