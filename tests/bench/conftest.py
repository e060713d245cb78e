import threading

import pytest
from support.openai_server import OpenAIServer

from webchat.bench.client import Server, ask


@pytest.fixture
def peer():
    with OpenAIServer().serving() as server:
        yield server


@pytest.fixture
def ask_peer(peer):
    """Asks the server one question."""

    def run(*, timeout=30.0, stop=None, **server):
        where = Server(**{"name": "peer", "url": peer.url, "key": "", "model": "tiny"} | server)
        return ask(where, [{"role": "user", "content": "问"}], 64, timeout, stop or threading.Event())

    return run
