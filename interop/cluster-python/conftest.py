import contextlib

import pytest

from brokers import RabbitMq, Redis


@pytest.fixture(scope="session")
def redis():
    broker = Redis()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def rabbitmq():
    broker = RabbitMq()
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def ending():
    """Closes what is put into it, the last first."""
    with contextlib.ExitStack() as stack:

        def put(thing):
            stack.callback(thing.close)
            return thing

        yield put
