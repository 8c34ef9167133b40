"""A collector that is away, hangs or refuses harms nobody, and none is asked that nobody named."""

import contextlib
import socket
import subprocess
import time

import pytest
from brokers import free_port
from clients import Client
from helpers import PROTOCOLS, connect, context, soon
from node import StockNode, emit


@contextlib.contextmanager
def collector(kind: str, receiver):
    """Addresses by protocol of a collector that behaves so."""
    if kind == "away":
        port = free_port()
        yield {protocol: f"http://127.0.0.1:{port}" for protocol in PROTOCOLS}
    elif kind == "silent":
        # Takes connections, as far as the system does, and reads nothing.
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            yield {protocol: url for protocol in PROTOCOLS}
    else:
        receiver.answer = kind
        yield receiver.urls


KINDS = ["away", "silent", "unavailable", "hang", "refuse"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_clients_do_not_notice_and_what_is_lost_is_counted(ending, alone, kind, protocol):
    with collector(kind, alone) as urls:
        limits = ["--trace-queue", "50", "--trace-batch", "50", "--otlp-timeout", "1s", "--trace-flush-timeout", "1s"]
        node = ending(StockNode(*soon(urls, protocol, *limits)))
        client = ending(connect(node))
        slowest = 0.0
        for number in range(300):
            began = time.monotonic()
            assert client.call("echo", number) == number
            slowest = max(slowest, time.monotonic() - began)
        node.counts(export_failed=1, queue_full=0 if kind == "refuse" else 1)
        now = node.counts()
        assert now["queued"] <= 50
        assert now["exported"] == 0
        # 300 events, and what the connection brings.
        assert 300 <= sum(now.values()) <= 310
        code, took = node.stop()
        assert code == 0
        # The drain of one client is short; then one second at most, and what a busy machine adds.
        assert took < 5
        warnings = [line for line in node.lines if line["level"] == "WARN" and line["message"] == "spans are lost"]
        assert len(warnings) == 1, warnings
        assert slowest < 5


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_passes_is_tried_again(ending, alone, protocol):
    alone.answer = "unavailable"
    node = ending(StockNode(*soon(alone.urls, protocol)))
    trace, _, header = context()
    ending(connect(node, header))
    alone.wait("a first try", lambda _: alone.requests >= 1)
    alone.answer = "take"
    alone.wait("the spans", lambda _: len(alone.of(trace)) >= 2)
    assert alone.requests >= 2
    assert node.counts(exported=2)["export_failed"] == 0


def test_a_collector_that_comes_back_gets_the_next_ones(ending, alone):
    alone.answer = "refuse"
    node = ending(StockNode(*soon(alone.urls, "http/protobuf")))
    client = ending(connect(node))
    node.counts(export_failed=1)
    alone.answer = "take"
    client.call("echo", 1)
    alone.wait("the next one", lambda spans: any(span.name == "process echo" for span in spans))
    assert len(node.said("spans are lost")) == 1
    assert len(node.said("the collector takes spans again")) == 1


def test_a_second_signal_waits_for_no_collector(ending, alone):
    alone.answer = "hang"
    node = ending(StockNode(*soon(alone.urls, "grpc", "--trace-flush-timeout", "1h")))
    connect(node).close()
    alone.wait("a request that hangs", lambda _: alone.requests >= 1)
    node.process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        node.process.wait(1)
    code, took = node.stop()
    assert (code, took < 5) == (128 + 15, True)


@pytest.mark.parametrize("kind", ["away", "silent", "unavailable", "hang"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_command_emits_all_the_same(redis, ending, alone, kind, protocol):
    with collector(kind, alone) as urls:
        prefix = f"faults-{free_port()}"
        node = ending(StockNode("--adapter", "redis", "--redis-url", redis.url, "--redis-prefix", prefix))
        client = ending(Client(node))
        traces = ["--otlp-endpoint", urls[protocol], "--otlp-protocol", protocol, "--trace-flush-timeout", "0.5"]
        began = time.monotonic()
        done = emit("--url", redis.url, "--prefix", prefix, *traces, "news", "1")
        took = time.monotonic() - began
        client.saw("news", 1)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr == "socketio-emit: 1 span did not reach the collector\n"
        assert took < 5


def test_off_means_off(ending, alone):
    switched_off = {"OTEL_EXPORTER_OTLP_ENDPOINT": alone.urls["http/protobuf"], "OTEL_SDK_DISABLED": "true"}
    to_nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": alone.urls["grpc"], "OTEL_TRACES_EXPORTER": "none"}
    for flags, env in [([], {}), ([], switched_off), ([], to_nobody), (["--otlp-endpoint="], to_nobody)]:
        node = ending(StockNode(*flags, env=env))
        client = ending(connect(node, context()[2]))
        client.call("echo", 1)
        assert node.connections() == set()
        assert [name for name in node.metrics() if "traces" in name] == []
    # What the check sees when there is something to see.
    node = ending(StockNode(*soon(alone.urls, "grpc")))
    connect(node).close()
    alone.wait("spans", len)
    assert len(node.connections()) == 1
    requests = alone.requests
    emit("--url", "redis://localhost:1", "--dry-run", "news", env=switched_off)
    assert alone.requests == requests
