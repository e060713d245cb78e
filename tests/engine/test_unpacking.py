"""Unpacked weights are the same numbers: nothing is rounded, and answers do not change by a bit."""

from __future__ import annotations

import json
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest

from webchat.engine.generation import EngineUnavailable, Sampling
from webchat.engine.layout import arrange, fastest
from webchat.engine.llama import LlamaBackend
from webchat.engine.llama_files import requantise, types
from webchat.engine.unpacking import packed, unpack, unpacked_size


@pytest.fixture(scope="module")
def weights(tiny_model, tmp_path_factory):
    """The tiny model in Q5_0, of which the downloaded weights mostly are."""
    path = tmp_path_factory.mktemp("weights") / "tiny-q5.gguf"
    kinds = {name: "q5_0" for name, kind in types(tiny_model).items() if "norm" not in name and "bias" not in name}
    requantise(tiny_model, path, kinds, importance={}, threads=1)
    return path


@pytest.fixture
def copy(weights, tmp_path):
    unpack(weights, tmp_path / "copy.gguf")
    return tmp_path / "copy.gguf"


def last_logits(path):
    with closing(LlamaBackend(path, sequences=1, cells=512, threads=1)) as backend:
        backend.begin(0, Sampling(temperature=0))
        backend.decode([(0, 0, list(range(40)), True)])
        return backend._logits(-1).copy()


def test_matrices_are_unpacked_and_all_else_is_as_it_was(weights, copy):
    before, after = types(weights), types(copy)
    names = {tensor.name for tensor in packed(weights)}
    assert names
    assert after == {name: "q8_0" if name in names else kind for name, kind in before.items()}
    assert abs(copy.stat().st_size - unpacked_size(weights)) < 4096


def test_answers_do_not_change_by_a_bit(weights, copy):
    assert np.array_equal(last_logits(weights), last_logits(copy))


def test_a_damaged_file_is_no_source(tmp_path):
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF")
    with pytest.raises(EngineUnavailable):
        unpack(tmp_path / "damaged.gguf", tmp_path / "copy.gguf")


# ---- which one is served -----------------------------------------------------------------------------------


class Clock:
    """Compares files as it is told, and counts how often."""

    def __init__(self, gain):
        self.gain, self.timed = gain, []

    def __call__(self, weights, folder, _threads):
        arrange(weights, folder, self.compare)

    def compare(self, before, after):
        assert before != after
        self.timed.append(before)
        return {"write": self.gain, "read": self.gain}


def test_the_faster_one_is_served_and_timed_once(weights, tmp_path):
    clock = Clock(1.2)
    served = fastest(weights, tmp_path / "unpacked", 1, clock)
    assert set(types(served).values()) >= {"q8_0"}
    assert fastest(weights, tmp_path / "unpacked", 1, clock) == served
    assert len(clock.timed) == 1


def test_where_it_is_slower_no_copy_stays(weights, tmp_path):
    clock = Clock(0.9)
    assert fastest(weights, tmp_path / "unpacked", 1, clock) == weights
    assert fastest(weights, tmp_path / "unpacked", 1, clock) == weights
    assert len(clock.timed) == 1
    assert not list((tmp_path / "unpacked").glob("*.gguf"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: copy.unlink(),
        lambda copy: copy.write_bytes(copy.read_bytes()[:-100]),
        lambda copy: copy.with_suffix(".json").write_text("{"),
        lambda copy: copy.with_suffix(".json").write_text('{"of": 1}'),
    ],
)
def test_a_copy_that_is_not_whole_is_made_anew(weights, tmp_path, damage):
    clock = Clock(1.2)
    served = fastest(weights, tmp_path / "unpacked", 1, clock)
    size = served.stat().st_size
    damage(served)
    assert fastest(weights, tmp_path / "unpacked", 1, clock).stat().st_size == size
    assert len(clock.timed) == 2


def test_a_folder_that_cannot_be_written_costs_speed_only(weights, tmp_path):
    (tmp_path / "unpacked").write_text("a file where the folder should be")
    assert fastest(weights, tmp_path / "unpacked", 1, Clock(1.2)) == weights


@pytest.mark.parametrize(
    ("what", "there"), [("shutil.disk_usage", lambda _: SimpleNamespace(free=1000)), ("memory", lambda: 1000)]
)
def test_a_machine_without_room_for_it_is_left_alone(weights, tmp_path, monkeypatch, what, there):
    monkeypatch.setattr(f"webchat.engine.layout.{what}", there)
    assert fastest(weights, tmp_path / "unpacked", 1, Clock(1.2)) == weights
    assert not list((tmp_path / "unpacked").iterdir())


def test_a_file_with_nothing_packed_is_served_as_it_is(tiny_model, tmp_path):
    assert fastest(tiny_model, tmp_path / "unpacked", 1, Clock(1.2)) == tiny_model
    assert not (tmp_path / "unpacked").exists()


def test_both_are_timed_in_a_process_of_its_own(weights, tmp_path):
    assert fastest(weights, tmp_path / "unpacked", 1) in (weights, tmp_path / "unpacked" / weights.name)
    note = json.loads((tmp_path / "unpacked" / "tiny-q5.json").read_text())
    assert all(gain > 0 for gain in note["gains"].values())
