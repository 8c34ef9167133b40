"""One trace over socketio-emit, a broker and two stock nodes, and from the handshakes of official clients."""

import os
import pathlib
import subprocess

import pytest
from brokers import until
from clients import Client
from helpers import PROTOCOLS, connect, context, export, soon
from node import StockNode, emit
from receiver import Receiver

BROKERS = {"redis": "redis", "amqp": "rabbitmq"}


@pytest.fixture(params=["straight", "rotel"])
def collector(request, receiver):
    """Our receiver, or a real collector before it."""
    return receiver if request.param == "straight" else request.getfixturevalue("rotel")


@pytest.mark.parametrize("adapter", BROKERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_trace_from_a_job_over_the_broker_to_the_clients_of_two_nodes(request, ending, receiver, collector, adapter, protocol):
    broker = request.getfixturevalue(BROKERS[adapter])
    url = getattr(broker, "strict_url", broker.url)
    prefix = f"traces-{os.urandom(4).hex()}"
    own = {"redis": ["--redis-prefix", prefix], "amqp": ["--amqp-exchange", prefix]}[adapter]
    flags = ["--adapter", adapter, f"--{adapter}-url", url, *own, *soon(collector.urls, protocol)]
    nodes = [ending(StockNode(*flags)) for _ in range(2)]
    clients = [ending(Client(node, "pair")) for node in nodes]
    own = {"redis": ["--prefix", prefix], "amqp": ["--exchange", prefix]}[adapter]
    # More time for the span than by default: other tests may keep the machine busy.
    own += ["--room", "pair", "--trace-flush-timeout", "30"]
    job = ["--url", url, *own, *export(collector.urls, protocol)]

    def heard():
        # Until both nodes hear the broker.
        emit(*job, "probe")
        return all(["probe"] in client.heard for client in clients)

    until("nodes that hear the emitter", heard)
    trace, parent, header = context()
    done = emit(*job, "news", '{"n":1}', env={"TRACEPARENT": header, "TRACESTATE": "vendor=abc"})
    assert (done.returncode, done.stderr) == (0, "")
    for client in clients:
        client.saw("news", {"n": 1})

    def whole(_):
        spans = receiver.of(trace)
        return len(spans) >= 3 and spans

    spans = receiver.wait("the trace", whole)
    sent = [span for span in spans if span.service == "socketio-emit"]
    delivered = [span for span in spans if span.service == "socketio-server"]
    assert [(span.kind, span.parent) for span in sent] == [("producer", parent)]
    assert {span.node for span in delivered} == {node.name for node in nodes}
    assert [(span.kind, span.parent) for span in delivered] == [("consumer", sent[0].id)] * 2
    # What arrives straight came as it was to be sent.
    ways = {span.way for span in spans}
    assert ways == ({protocol} if collector is receiver else {"grpc"})


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_the_handshake_of_an_official_client_continues_its_trace(ending, receiver, transport):
    node = ending(StockNode(*soon(receiver.urls, "http/protobuf")))
    trace, parent, header = context()
    program = pathlib.Path(__file__).parent / "handshake.mjs"
    done = subprocess.run(["node", program, node.url, transport, header], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    socket = done.stdout.split()[0]
    spans = receiver.wait("handshake and connect", lambda _: len(receiver.of(trace)) >= 2 and receiver.of(trace))
    by_name = {span.name: span for span in spans}
    assert by_name["handshake"].parent == parent
    assert by_name["handshake"].kind == "server"
    assert by_name["handshake"].attributes["socketio.transport"] == transport
    assert by_name["connect"].attributes["socketio.socket_id"] == socket

    # Events are traces of their own, which know where they come from.
    def events(spans):
        return [span for span in spans if span.name == "process echo" and span.node == node.name]

    [event] = receiver.wait("the event", events)
    assert event.trace != trace
    assert [link[0] for link in event.links] == [trace]


def test_a_member_of_the_payload_continues_a_trace_if_told_so(ending, receiver):
    node = ending(StockNode(*soon(receiver.urls, "grpc", "--trace-payload-key", "otel")))
    trace, parent, header = context()
    payload = {"n": 1, "otel": {"traceparent": header, "tracestate": "vendor=abc"}}
    assert ending(connect(node)).call("echo", payload) == payload
    spans = receiver.wait("the event", lambda _: receiver.of(trace))
    assert [(span.name, span.parent) for span in spans] == [("process echo", parent)]


def test_what_its_sender_does_not_sample_is_not_sent(ending, receiver):
    node = ending(StockNode(*soon(receiver.urls, "grpc")))
    unsampled, _, header = context(sampled=False)
    ending(connect(node, header))
    # What came later and was sent shows that nothing more will come of the first.
    sampled, _, header = context()
    ending(connect(node, header))
    receiver.wait("the sampled one", lambda _: len(receiver.of(sampled)) >= 2)
    assert receiver.of(unsampled) == []


def test_the_ratio_decides_of_what_begins_here_and_the_sender_of_the_rest(ending, receiver):
    node = ending(StockNode(*soon(receiver.urls, "http/protobuf", "--trace-sample-ratio", "0")))
    client = ending(connect(node))
    client.call("echo", 1)
    sampled, _, header = context()
    ending(connect(node, header))
    receiver.wait("the sampled one", lambda _: len(receiver.of(sampled)) >= 2)
    assert {span.trace for span in receiver.spans if span.node == node.name} == {sampled}


def test_the_ratio_alone_decides_if_told_so(ending, receiver):
    flags = ["--trace-sample-ratio", "0", "--trace-parent-based=false"]
    node = ending(StockNode(*soon(receiver.urls, "http/protobuf", *flags)))
    _, _, header = context()
    ending(connect(node, header)).call("echo", 1)
    assert node.stop()[0] == 0
    assert [span for span in receiver.spans if span.node == node.name] == []


def test_half_of_the_traces_is_half_of_them(ending, receiver):
    node = ending(StockNode(*soon(receiver.urls, "http/protobuf", "--trace-sample-ratio", "0.5")))
    client = ending(connect(node))
    for number in range(400):
        client.call("echo", number)
    assert node.stop()[0] == 0
    events = [span for span in receiver.spans if span.node == node.name and span.name == "process echo"]
    # Ten standard deviations: wrong once in 10^22 runs.
    assert 100 < len(events) < 300


def test_resource_headers_and_compression(ending, receiver):
    for protocol in PROTOCOLS:
        trace, _, header = context()
        flags = [
            *("--otlp-headers", "x-key=a%20secret,x-more=1"),
            *("--otlp-compression", "gzip"),
            *("--trace-service-name", "chat"),
            *("--trace-resource", "deployment.environment.name=test,team=a%2Cb"),
        ]
        node = ending(StockNode(*soon(receiver.urls, protocol, *flags)))
        ending(connect(node, header))
        span = receiver.wait("a span", lambda _: receiver.of(trace))[0]
        assert span.service == "chat"
        assert span.node == node.name
        assert span.resource["deployment.environment.name"] == "test"
        assert span.resource["team"] == "a,b"
        assert span.resource["telemetry.sdk.language"] == "rust"
        assert span.resource["service.version"]
        assert span.scope == "socketio-cluster"
        assert (span.headers["x-key"], span.headers["x-more"]) == ("a secret", "1")
        # grpcio keeps to itself that a message was compressed.
        assert span.headers.get("content-encoding", "gzip") == "gzip"


def test_the_standard_variables_alone(ending, receiver):
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.urls["http/protobuf"],
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=standard",
        "OTEL_SERVICE_NAME": "by-standard",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=lower,team=a",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    node = ending(StockNode(env=env))
    ending(connect(node)).call("echo", 1)
    trace, _, header = context()
    ending(connect(node, header))
    spans = receiver.wait("the trace", lambda _: len(receiver.of(trace)) >= 2 and receiver.of(trace))
    assert {span.trace for span in receiver.spans if span.node == node.name} == {trace}
    assert {(span.service, span.resource["team"], span.headers["x-key"]) for span in spans} == {("by-standard", "a", "standard")}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_over_tls(ending, certificate, protocol):
    receiver = ending(Receiver(*certificate))
    trace, _, header = context()
    flags = soon(receiver.urls, protocol, "--otlp-ca", str(certificate[0]))
    node = ending(StockNode(*flags))
    ending(connect(node, header))
    receiver.wait("the trace", lambda _: len(receiver.of(trace)) >= 2)
    # Whom nobody vouches for gets nothing.
    stranger = ending(StockNode(*soon(receiver.urls, protocol, "--otlp-timeout", "1s")))
    ending(connect(stranger))
    stranger.counts(export_failed=1)
    assert [span for span in receiver.spans if span.node == stranger.name] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_last_spans_are_sent_at_the_end(ending, receiver, protocol):
    node = ending(StockNode(*export(receiver.urls, protocol, "--trace-delay", "1h")))
    client = ending(connect(node))
    for number in range(20):
        client.call("echo", number)
    code, took = node.stop()
    assert code == 0
    events = [span for span in receiver.spans if span.node == node.name and span.name == "process echo"]
    assert len(events) == 20
    assert took < 5
