"""``/v1`` behind gunicorn: OpenAI's client on a real connection, many at once, and clients that hang up."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.program import program_at, question, text_of_stream
from support.server import read_chunks

OPEN = "随便说点什么吧，英语也行"
RUNNING, WAITING = "webchat_engine_running", "webchat_engine_waiting"


@pytest.fixture
def program(server):
    with program_at(server) as client:
        yield client


@pytest.fixture
def patient(slow):
    """A program in front of a server whose answers take a minute."""
    with program_at(slow) as client:
        yield client


def wait_until_free(server):
    server.wait_until(lambda: server.metric(RUNNING) + server.metric(WAITING) == 0, "the model is free")


def test_both_models_answer_in_both_ways(server, program):
    assert [model.id for model in program.models.list()] == ["webchat", server.model_name]
    for model in ("webchat", server.model_name):
        wanted = question(OPEN, model=model, max_tokens=50)  # some of the tiny model's random bytes are text
        assert program.chat.completions.create(**wanted).usage.completion_tokens == 50
        *chunks, last = program.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True})
        assert text_of_stream(chunks)
        assert chunks[-1].choices[0].finish_reason == "length"
        assert last.usage.completion_tokens == 50


def test_an_official_answer_comes_in_both_ways(program):
    answer = program.chat.completions.create(**question("怎么退货？")).choices[0].message.content
    assert answer == "七天内可以**退货**。"
    assert text_of_stream(program.chat.completions.create(**question("怎么退货？", stream=True))) == answer


def test_twenty_at_once_are_answered(server, program):
    def ask(number):
        wanted = question(f"{OPEN} {number}", model=server.model_name, max_tokens=12, temperature=0)
        if number % 2:
            return program.chat.completions.create(**wanted).usage.completion_tokens
        *_, last = program.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True})
        return last.usage.completion_tokens

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [12] * 20
    wait_until_free(server)


def test_every_chunk_is_written_as_soon_as_it_is_there(slow, patient):
    """The first words arrive while the answer has most of its minute before it."""
    stream = patient.chat.completions.create(**question(OPEN, model=slow.model_name, stream=True))
    for _ in range(5):
        next(stream)
    assert slow.metric(RUNNING) == 1
    stream.close()
    wait_until_free(slow)


def test_a_stream_whose_client_hangs_up_frees_the_model(slow, patient):
    stream = patient.chat.completions.create(**question(OPEN, stream=True))
    next(stream)
    slow.wait_until(lambda: slow.metric(RUNNING) == 1, "it is being answered")
    stream.close()
    wait_until_free(slow)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_without_a_word_frees_the_model(slow, patient, stream):
    connection = _sent(slow, patient.api_key, question(OPEN, stream=stream))
    slow.wait_until(lambda: slow.metric(RUNNING) == 1, "it is being answered")
    connection.close()
    wait_until_free(slow)


@pytest.fixture
def busy(slow, patient):
    """As many streams as the model writes at once; together they fit its cache."""
    streams = [patient.chat.completions.create(**question(OPEN, stream=True, max_tokens=1500)) for _ in range(8)]
    slow.wait_until(lambda: slow.metric(RUNNING) == 8, "the model is busy")
    yield streams
    for stream in streams:
        stream.close()
    wait_until_free(slow)


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_in_the_queue_is_not_answered(slow, patient, busy, stream):
    connection = _sent(slow, patient.api_key, question(OPEN, stream=stream))
    slow.wait_until(lambda: slow.metric(WAITING) == 1, "one waits")
    connection.close()
    slow.wait_until(lambda: slow.metric(WAITING) == 0, "it waits no more")
    assert slow.metric(RUNNING) == 8


def test_openais_client_reads_over_the_comments_that_fill_a_silence(slow, patient, busy):
    queued = patient.chat.completions.create(**question(OPEN, stream=True, max_tokens=2))
    assert next(queued).choices[0].delta.role == "assistant"  # sent while it waits
    assert slow.metric(WAITING) == 1
    for stream in busy:
        stream.close()
    assert list(queued)[-1].choices[0].finish_reason == "length"


def test_every_chunk_is_whole_on_the_wire(server, program):
    connection = _sent(server, program.api_key, question(OPEN, stream=True))
    with connection, connection.makefile("rb") as response:
        head = b"".join(iter(response.readline, b"\r\n"))
        assert head.startswith(b"HTTP/1.1 200 OK")
        chunks = read_chunks(_Body(response))
    events = [chunk for chunk in chunks if chunk != b": \n\n"]
    assert all(chunk.endswith(b"\n\n") and chunk.count(b"\n") == 2 for chunk in chunks)
    assert events.pop() == b"data: [DONE]\n\n"
    assert all(json.loads(event.removeprefix(b"data: "))["object"] == "chat.completion.chunk" for event in events)


class _Body:
    """The part of an HTTP response that ``read_chunks`` looks at."""

    def __init__(self, file):
        self.fp = file


def _sent(server, key, body) -> socket.socket:
    """A bare connection on which a request has been sent."""
    data = json.dumps(body).encode()
    connection = server.connect()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(data)}"
    )
    connection.sendall(head.encode() + b"\r\n\r\n" + data)
    return connection
