"""What the tests have in common."""

import os

from clients import Client
from node import StockNode

PROTOCOLS = ["grpc", "http/protobuf"]


def context(sampled: bool = True) -> tuple[str, str, str]:
    """The id of a new trace and of a span in it, and both as a header."""
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    return trace, span, f"00-{trace}-{span}-{'01' if sampled else '00'}"


def export(urls: dict, protocol: str, *flags: str) -> list[str]:
    return ["--otlp-endpoint", urls[protocol], "--otlp-protocol", protocol, *flags]


def soon(urls: dict, protocol: str, *flags: str) -> list[str]:
    """For nodes, which would wait five seconds."""
    return export(urls, protocol, "--trace-delay", "100ms", *flags)


def connect(node: StockNode, header: str | None = None) -> Client:
    """A client whose handshake carries this."""
    return Client(node, headers={"traceparent": header} if header else None)
