#!/usr/bin/env python3
"""Runs our node, socketioxide and Node's socket.io side by side under one generator and prints the ratios.

The server is pinned to core 0 and the generator to core 1. Scenarios that begin with `redis-` run two servers of a kind with a
redis-server between them, all three on core 0, and half of the clients on each; `amqp-` is the same over RabbitMQ, ours only. The servers take turns within each scenario, several rounds,
and the medians are compared, because a shared machine is noisy. Needs cargo, node and npm; everything stays on loopback.

    bench/run.py [--rounds N] [--seconds S] [--only NAME,...] [--without-node] [--also NAME=COMMAND]... [--json FILE]

--also adds servers, for instance a bench-ours that was built before a change, or with traces: they take their turns with
the others.
"""
import argparse, contextlib, json, pathlib, re, shlex, statistics, subprocess, sys

HERE = pathlib.Path(__file__).resolve().parent
SCENARIOS = {
    "echo-100": ["--scenario", "echo", "--clients", "100"],
    "echo-1000": ["--scenario", "echo", "--clients", "1000"],
    "broadcast-1000": ["--scenario", "broadcast", "--clients", "1000"],
    "broadcast-1000-x16": ["--scenario", "broadcast", "--clients", "1000", "--outstanding", "16"],
    "broadcast-18000": ["--scenario", "broadcast", "--clients", "18000"],
    "broadcast-18000-x16": ["--scenario", "broadcast", "--clients", "18000", "--outstanding", "16"],
    "redis-10": ["--scenario", "broadcast", "--clients", "10"],
    "redis-1000": ["--scenario", "broadcast", "--clients", "1000"],
    "redis-1000-x16": ["--scenario", "broadcast", "--clients", "1000", "--outstanding", "16"],
    "amqp-10": ["--scenario", "broadcast", "--clients", "10"],
    "amqp-1000": ["--scenario", "broadcast", "--clients", "1000"],
    "amqp-1000-x16": ["--scenario", "broadcast", "--clients", "1000", "--outstanding", "16"],
    "idle-10000": ["--scenario", "idle", "--clients", "10000"],
}


def start(command):
    """Starts a server on core 0 and waits for the line that names its address."""
    server = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if found := re.search(r"listening on http://(\S+)", line):
            return server, found.group(1)
    sys.exit(f"{command[0]} ended before it listened")


@contextlib.contextmanager
def broker(scenario):
    """The arguments of the servers of a scenario: none, or the URL of a broker that runs meanwhile."""
    kind = {"redis": "redis", "amqp": "rabbitmq"}.get(scenario.split("-")[0])
    if kind is None:
        yield []
        return
    command = ["cargo", "run", "--quiet", "--package", "socketio-testkit", "--example", "broker", kind]
    running = subprocess.Popen(["taskset", "-c", "0", *command], cwd=HERE.parent, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        yield [running.stdout.readline().strip() or sys.exit("the broker did not start")]
    finally:
        # At the end of its input it ends the broker and itself.
        running.stdin.close()
        running.wait()


def measure(command, scenario, seconds, url):
    servers = []
    try:
        for _ in range(2 if url else 1):
            servers.append(start([*command, *url]))
        run = ["taskset", "-c", "1", str(HERE / "target/release/bench-generator")]
        for server, address in servers:
            run += ["--target", address, "--server-pid", str(server.pid)]
        done = subprocess.run([*run, "--seconds", str(seconds), *SCENARIOS[scenario]], stdout=subprocess.PIPE,
                              text=True, timeout=240)
        return json.loads(done.stdout) if done.returncode == 0 else None
    finally:
        for server, _ in servers:
            server.kill()
            server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--only", default="")
    parser.add_argument("--without-node", action="store_true")
    parser.add_argument("--also", metavar="NAME=COMMAND", action="append", default=[])
    parser.add_argument("--json")
    options = parser.parse_args()

    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=HERE, check=True)
    servers = {
        "ours": [str(HERE / "target/release/bench-ours")],
        "socketioxide": [str(HERE / "target/release/bench-socketioxide")],
    }
    if not options.without_node:
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=HERE / "peers/node", check=True)
        servers["node"] = ["node", str(HERE / "peers/node/server.mjs")]
    for further in options.also:
        name, equals, command = further.partition("=")
        if not equals:
            sys.exit("--also wants NAME=COMMAND")
        servers[name] = shlex.split(command)

    chosen = [name for name in SCENARIOS if not options.only or name in options.only.split(",")]
    results = {}
    print(f"{'scenario':22}{'server':14}{'msg/s':>10}{'CPU µs/msg':>12}{'p50 µs':>9}{'p99 µs':>9}{'KiB/client':>12}"
          f"{'load':>7}  ours/it", flush=True)
    for scenario in chosen:
        runs = {name: [] for name in servers}
        rounds = 1 if scenario.startswith("idle") else options.rounds
        with broker(scenario) as url:
            for _ in range(rounds):
                for name, command in servers.items():
                    # Only we speak AMQP.
                    if name not in ("socketioxide", "node") or not scenario.startswith("amqp"):
                        runs[name].append(measure(command, scenario, options.seconds, url))
        table = {}
        for name, rows in runs.items():
            if not rows:
                continue
            rows = [row for row in rows if row]
            table[name] = {key: statistics.median(row[key] for row in rows) for key in rows[0]
                           if isinstance(rows[0][key], (int, float))} if rows else None
        results[scenario] = table
        for name, row in table.items():
            if row is None:
                print(f"{scenario:22}{name:14}   failed", flush=True)
                continue
            key = "messages_per_second" if "messages_per_second" in row else "rss_per_client"
            ratio = table["ours"][key] / row[key] if table["ours"] and row[key] else float("nan")
            print(f"{scenario:22}{name:14}{row.get('messages_per_second', 0):>10.0f}"
                  f"{row.get('cpu_us_per_message', 0):>12.2f}{row.get('p50_us', 0):>9.0f}{row.get('p99_us', 0):>9.0f}"
                  f"{row['rss_per_client'] / 1024:>12.1f}{row.get('generator_load', 0):>7.2f}  {ratio:.2f}", flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
