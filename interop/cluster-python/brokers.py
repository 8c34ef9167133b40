"""A redis-server or a rabbitmq-server of a test's own: free ports, a folder for its data, ended by its process id."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# RabbitMQ takes seven seconds of processor time to start, and the machine may be busy.
PATIENCE = 120.0
# The scripts of Debian's package that do not insist on the system's service user.
SCRIPTS = pathlib.Path("/usr/lib/rabbitmq/bin")


def until(what: str, condition, patience: float = 60.0):
    """Polls until the condition gives something true, which is returned."""
    deadline = time.monotonic() + patience
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.02)


def free_port() -> int:
    """For a server that is started in a moment; below the ports that Linux gives to outgoing connections, any of which
    could take it meanwhile (32768 to 60999, `ip_local_port_range`)."""
    while True:
        port = random.randrange(12_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Broker:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cluster-python-"))
        self.port = free_port()
        self.processes: list[subprocess.Popen] = []

    def launch(self, *command, env=None) -> subprocess.Popen:
        log = open(self.folder / "out", "ab")
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        log.close()
        self.processes.append(process)
        return process

    def log(self) -> str:
        return (self.folder / "out").read_text(errors="replace")[-4000:]

    def wait(self, process: subprocess.Popen, port: int) -> None:
        def listens():
            if process.poll() is not None:
                raise RuntimeError(f"the broker has ended: {self.log()}")
            return is_open(port)

        until(lambda: f"a broker that listens: {self.log()}", listens, PATIENCE)

    def stop(self) -> None:
        process = self.processes.pop()
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Broker):
    def __init__(self):
        super().__init__()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder]
        self.wait(self.launch("redis-server", "--port", self.port, *options), self.port)


class RabbitMq(Broker):
    def __init__(self):
        super().__init__()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        # As lapin and other readers of URLs want the virtual host `/`.
        self.strict_url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2f"
        mapper, distribution = free_port(), free_port()
        self.write("rabbitmq.conf", f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndisk_free_limit.absolute = 1MB\n")
        self.write("env.conf", "")
        self.write("plugins", "[].\n")
        # A port mapper of its own, so that it knows of no other broker here.
        self.wait(self.launch("epmd", "-port", mapper, "-address", "127.0.0.1"), mapper)
        here = {
            "HOME": self.folder,
            "ERL_EPMD_PORT": mapper,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "cluster-python@localhost",
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_CONF_ENV_FILE": self.folder / "env.conf",
            "RABBITMQ_CONFIG_FILE": self.folder / "rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": self.folder / "advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": self.folder / "feature_flags",
            "RABBITMQ_GENERATED_CONFIG_DIR": self.folder / "generated",
            "RABBITMQ_LOG_BASE": self.folder / "log",
            "RABBITMQ_LOGS": self.folder / "log" / "broker.log",
            "RABBITMQ_MNESIA_BASE": self.folder / "data",
            "RABBITMQ_PID_FILE": self.folder / "pid",
            "RABBITMQ_PLUGINS_EXPAND_DIR": self.folder / "expanded",
            # Makes the script become the broker instead of its parent, so that signals reach it.
            "RABBITMQ_ALLOW_INPUT": 1,
            "RABBITMQ_SERVER_START_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
        }
        self.env = {**os.environ, **{name: str(value) for name, value in here.items()}}
        self.start()

    def start(self) -> None:
        server = self.launch(SCRIPTS / "rabbitmq-server", env=self.env)
        self.wait(server, self.port)
        until("AMQP", self.speaks, PATIENCE)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def speaks(self) -> bool:
        # The listener opens a moment before the broker serves.
        import kombu

        with contextlib.suppress(Exception), kombu.Connection(self.url, connect_timeout=2) as connection:
            connection.connect()
            return True
        return False
