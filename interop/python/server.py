"""The interop server (see README.md) as a child process: options as flags, a log entry per line from its stdout."""

import json
import os
import pathlib
import queue
import shlex
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = f"node {HERE.parent / 'reference-server.mjs'}"
PATIENCE = 10.0


class InteropServer:
    def __init__(self, *flags: str):
        command = shlex.split(os.environ.get("INTEROP_SERVER", REFERENCE))
        self.process = subprocess.Popen(
            [*command, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._entries: list[dict] = []
        self._changed = threading.Condition()
        first: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(first,), daemon=True).start()
        self.url = first.get(timeout=PATIENCE).removeprefix("listening on ")

    def _read(self, first: queue.Queue) -> None:
        for line in self.process.stdout:
            if line.startswith("listening on "):
                first.put(line.strip())
            elif line.startswith("{"):
                with self._changed:
                    self._entries.append(json.loads(line))
                    self._changed.notify_all()

    def entry(self, **fields) -> dict:
        """Waits for a log entry that has all the given fields."""
        deadline = time.monotonic() + PATIENCE
        with self._changed:
            while True:
                for entry in self._entries:
                    if fields.items() <= entry.items():
                        return entry
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no entry {fields} in {self._entries[-12:]}")

    def reason(self, sid: str, nsp: str = "/") -> str:
        """Why the server saw this socket go."""
        return self.entry(event="disconnect", id=sid, nsp=nsp)["reason"]

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
