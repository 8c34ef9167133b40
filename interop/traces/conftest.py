import contextlib
import pathlib
import subprocess
import sys

import pytest

# The brokers and clients of the other suite.
sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "cluster-python"))

from brokers import RabbitMq, Redis  # noqa: E402
from receiver import Receiver, Rotel  # noqa: E402


@pytest.fixture(scope="session")
def redis():
    with contextlib.closing(Redis()) as broker:
        yield broker


@pytest.fixture(scope="session")
def rabbitmq():
    with contextlib.closing(RabbitMq()) as broker:
        yield broker


@pytest.fixture(scope="session")
def _receiver():
    with contextlib.closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture
def receiver(_receiver):
    """Spans have traces of their own, so one receiver serves all tests that do not stop it."""
    _receiver.answer = "take"
    return _receiver


@pytest.fixture(scope="session")
def rotel(_receiver):
    if not Rotel.runs_here:
        pytest.skip("rotel has no program for this machine")
    with contextlib.closing(Rotel(_receiver)) as collector:
        yield collector


@pytest.fixture
def alone():
    """A receiver that nobody else sends to."""
    with contextlib.closing(Receiver()) as receiver:
        yield receiver


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    files = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"]
    command = [*command.split(), *names, "-out", files[0], "-keyout", files[1]]
    subprocess.run(command, check=True, capture_output=True)
    return files


@pytest.fixture
def ending():
    """Closes what is put into it, the last first."""
    with contextlib.ExitStack() as stack:

        def put(thing):
            stack.callback(thing.close)
            return thing

        yield put
