import pytest
from engineio.payload import Payload

from server import InteropServer

# The client takes 16 packets of a polling payload unless it is told otherwise; a server answers with all there is.
Payload.max_decode_packets = 10_000


@pytest.fixture(scope="session")
def server():
    # Frequent pings: a client that waits in its poll when it wants to leave (see `test_leaves`) waits for one.
    running = InteropServer("--ping-interval", "1000", "--ping-timeout", "5000")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def impatient_server():
    running = InteropServer("--ping-interval", "1000", "--ping-timeout", "1000")
    yield running
    running.stop()


@pytest.fixture(params=["polling", "websocket", "upgrade"])
def mode(request):
    return request.param


@pytest.fixture
def transports(mode):
    return ["polling", "websocket"] if mode == "upgrade" else [mode]
