"""Tuning: what is chosen, what is made, what stays on the disk, and which file is served afterwards."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from support.fake_hub import FakeHub
from support.odd_models import write_recurrent_model

from webchat import close_app, create_app
from webchat.cli import main
from webchat.config import CHECKOUT, load_settings
from webchat.engine import measure
from webchat.engine.files import ModelError, sha256_of
from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama_files import load_model, requantise, types
from webchat.engine.llama_reader import Reader
from webchat.engine.making import make
from webchat.engine.processor import processor
from webchat.engine.recipes import AS_IS, RECIPES, Measured, Recipe, can_become, choose, gain
from webchat.engine.tuning_source import Source, best_source
from webchat.engine.variants import Result, file_in_use, keep, result_path

DEADLINE = 60.0  # seconds; reached only when something is broken
FOUR_BITS = Recipe("four", ((r"^blk\..*(attn|ffn)_\w+\.weight", "q4_0"), ("^output", "iq4_nl"), ("token_embd", "q8_0")))


# ---- choosing ---------------------------------------------------------------------------------------------


def measured(name, speed_up, *losses, least=None):
    texts = dict(zip(("chinese", "english"), losses or (0.0, 0.0), strict=True))
    return Measured(
        name,
        1000,
        dict.fromkeys(texts, 20.0),
        texts,
        dict.fromkeys(texts, 0.9),
        {"decode 1": 50},
        speed_up,
        least or speed_up,
    )


DOWNLOAD = measured(AS_IS, 1.0)


def test_the_fastest_within_the_bound_is_chosen():
    files = [DOWNLOAD, measured("good", 1.4, 0.01, 0.05), measured("fast", 1.9, 0.0, 0.051), measured("slow", 1.2)]
    assert choose(files, 0.05).name == "good"
    assert choose(files, 0.06).name == "fast"


def test_the_download_stays_unless_another_is_faster():
    assert choose([measured("same", 1.0), DOWNLOAD, measured("slower", 0.8)], 0.05) is DOWNLOAD
    assert choose([DOWNLOAD], 0.05) is DOWNLOAD


def test_a_gain_that_may_be_noise_is_none():
    lucky, faster = measured("lucky", 1.3, least=1.01), measured("faster", 1.05, least=1.02)
    assert choose([DOWNLOAD, lucky], 0.05) is DOWNLOAD
    assert choose([lucky, faster, DOWNLOAD], 0.05) is faster


def test_nothing_is_chosen_where_the_download_was_not_measured():
    with pytest.raises(ValueError, match="not measured"):
        choose([measured("fast", 2.0)], 0.05)


shares = st.floats(-0.2, 0.5)
candidates = st.lists(st.builds(measured, st.text(max_size=3), st.floats(0.1, 5), shares, shares))


@given(candidates, st.floats(0, 0.3), st.randoms())
def test_whatever_was_measured_the_choice_is_allowed_and_none_that_is_allowed_is_faster(files, bound, random):
    files = [*files, DOWNLOAD]
    chosen = choose(files, bound)
    assert chosen in files
    assert chosen.within(bound)
    worth_it = [each.gain for each in files if each.within(bound) and each.least_gain >= 1.02]
    assert chosen.gain == max(worth_it, default=1.0)
    random.shuffle(files)
    assert choose(files, bound).gain == chosen.gain


def test_each_kind_of_work_counts_the_same_in_the_gain():
    slow, fast = {"prefill": 200.0, "decode 1": 10.0}, {"prefill": 100.0, "decode 1": 80.0}
    assert gain(fast, slow) == pytest.approx(2.0)
    assert gain(slow, fast) == pytest.approx(0.5)


def test_the_first_rule_decides_and_what_no_rule_names_stays():
    recipe = Recipe("x", ((r"ffn_down", "q4_k"), (r"^blk\.", "iq4_nl")))
    kept = {"blk.0.ffn_down.weight": "q6_k", "blk.0.ffn_up.weight": "q5_0", "output.weight": "q8_0"}
    assert recipe.types(kept) == {
        "blk.0.ffn_down.weight": "q4_k",
        "blk.0.ffn_up.weight": "iq4_nl",
        "output.weight": "q8_0",
    }


def test_a_file_made_before_is_gone_on_with_only_where_nothing_is_rounded_twice():
    original = {"a": "q8_0", "b": "q5_0", "c": "q5_0"}
    wanted = {"a": "iq4_nl", "b": "iq4_nl", "c": "q5_0"}
    assert can_become(original, wanted, original)
    assert can_become({**original, "a": "iq4_nl"}, wanted, original)
    assert not can_become({**original, "a": "q4_0"}, wanted, original)
    assert not can_become({**original, "c": "iq4_nl"}, wanted, original)


def test_the_light_and_the_four_bit_recipes_go_on_where_the_one_before_stopped():
    """Else looking for the best rounding would take as often as long."""
    kinds = ("ffn_gate", "ffn_up", "ffn_down", "attn_q", "attn_v")
    original = {f"blk.{layer}.{kind}.weight": "q8_0" for layer in range(24) for kind in kinds} | {
        "output.weight": "f16"
    }
    made = [recipe.types(original) for recipe in RECIPES.values()]
    assert [can_become(*pair, original) for pair in itertools.pairwise(made)] == [True, False, True, False]
    assert len({tuple(types.values()) for types in made}) == len(RECIPES)


# ---- files ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four_bits(tiny_model, tmp_path_factory):
    """The tiny model with its matrices rounded to four bits, made as the command makes it."""
    path = tmp_path_factory.mktemp("made") / "four.gguf"
    make(tiny_model, path, FOUR_BITS.types(types(tiny_model)), measure.importance(tiny_model, 1), 1)
    return path


def test_only_the_matrices_that_a_recipe_names_change(tiny_model, four_bits):
    before, after = types(tiny_model), types(four_bits)
    assert after["output.weight"] == "iq4_nl"
    assert {kind for name, kind in after.items() if re.search(r"blk.*(attn|ffn)_(q|k|v|up|down|gate)", name)} == {
        "q4_0",
        "f32",  # biases
    }
    assert all(before[name] == after[name] for name in before if "norm" in name or "bias" in name)
    assert four_bits.stat().st_size < tiny_model.stat().st_size


def test_importance_makes_rounding_better_where_it_matters(tiny_model, tmp_path):
    wanted = dict.fromkeys((name for name in types(tiny_model) if name.startswith("blk.")), "iq4_nl")
    losses = {}
    for name, weights in (("blind", {}), ("told", measure.importance(tiny_model, 1))):
        requantise(tiny_model, tmp_path / name, wanted, importance=weights, threads=1)
        readings, original = measure.read_texts(tmp_path / name, 1), measure.read_texts(tiny_model, 1)
        losses[name] = np.mean(
            [np.square(readings[text].logarithms - original[text].logarithms).mean() for text in measure.TEXTS]
        )
    assert losses["told"] < losses["blind"]


def test_importance_covers_every_matrix_and_is_what_squares_are(tiny_model):
    weights = measure.importance(tiny_model, 1)
    matrices = {name for name in types(tiny_model) if name.endswith(".weight") and "norm" not in name}
    assert set(weights) == matrices - {"token_embd.weight"}  # looked up, not multiplied
    assert all((columns >= 0).all() and columns.any() for columns in weights.values())


def test_probabilities_are_those_of_a_distribution(tiny_model):
    """A text of each single token in turn: their probabilities after the same beginning sum to one."""
    with closing(Reader(tiny_model, threads=1)) as reader:
        first = reader.tokenize("a")
        logarithms = [reader.scores([*first, token])[0][0] for token in range(259)]
    assert np.exp(logarithms).sum() == pytest.approx(1, abs=1e-3)


def test_a_text_is_read_the_same_whatever_was_read_before(tiny_model):
    with closing(Reader(tiny_model, threads=1)) as reader:
        tokens = reader.tokenize("您好，请问这件衣服有蓝色的吗？" * 10)
        seen = []
        logarithms, likeliest = reader.scores(tokens, seen.append)
        reader.importance(tokens[:20])
        again = reader.scores(tokens)
    assert len(logarithms) == len(likeliest) == len(tokens) - 1
    assert (logarithms == again[0]).all()
    assert seen[-1] == len(tokens)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what is mapped")
def test_a_loaded_file_is_not_in_memory_beside_what_was_copied_from_it(tiny_model):
    model = load_model(tiny_model)
    try:
        assert str(tiny_model.resolve()) not in Path("/proc/self/maps").read_text()
    finally:
        llama_cpp.llama_model_free(model)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model"])
def test_what_is_no_model_is_refused_with_a_sentence(tmp_path, content):
    (tmp_path / "x.gguf").write_bytes(content)
    with capture_logs(), pytest.raises(EngineUnavailable, match=r"x\.gguf could not be loaded"):
        types(tmp_path / "x.gguf")


@pytest.mark.process  # a file is made in a process of its own
def test_a_full_disk_is_said_and_nothing_is_left(tiny_model, tmp_path):
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(ModelError, match=r"full could not be made: .+"):
        make(tiny_model, full, FOUR_BITS.types(types(tiny_model)), {}, 1)
    assert not full.is_symlink()


@pytest.mark.process  # a file is made in a process of its own
def test_a_source_that_is_damaged_is_said(tiny_model, tmp_path):
    half = tmp_path / "half.gguf"
    half.write_bytes(tiny_model.read_bytes()[:-1000])
    with pytest.raises(ModelError, match=r"could not be made: .+"):
        make(half, tmp_path / "made.gguf", FOUR_BITS.types(types(tiny_model)), {}, 1)
    assert not (tmp_path / "made.gguf").exists()


# ---- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, tiny_model):
    """The command line on a machine of its own with the tiny model as its download."""
    download = tmp_path / "tiny-q4_k_m.gguf"
    shutil.copy(tiny_model, download)
    environment = {"WEBCHAT_DATA_DIR": str(tmp_path / "data"), "WEBCHAT_MODEL": str(download), "WEBCHAT_THREADS": "1"}

    def run(*arguments, **more):
        return CliRunner().invoke(main, ["model", *arguments], env=environment | more)

    umask = os.umask(0o077)  # as the command sets it; that of the tests comes back
    yield run
    os.umask(umask)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".tune.lock")


@pytest.mark.process  # a file is made in a process of its own
def test_tuning_measures_chooses_and_remembers(command, tmp_path):
    first = command("tune")

    assert first.exit_code == 0, first.output
    assert "about" in first.stderr.splitlines()[0]
    assert all(name in first.stdout for name in (AS_IS, *RECIPES))
    (kept,) = (tmp_path / "data" / "tuning").glob("*.json")
    result = json.loads(kept.read_text())
    assert [each["name"] for each in result["measured"]] == [AS_IS, *RECIPES]
    assert result["measured"][0]["gain"] == 1.0
    assert result["measured"][0]["loss"] == {"chinese": 0.0, "english": 0.0}
    assert set(result["measured"][1]["speed"]) == {"prefill", *(f"decode {width}" for width in (1, 2, 4, 8, 16))}
    plot = kept.with_suffix(".svg").read_text()
    assert "<script" not in plot
    assert all(name in plot for name in RECIPES)
    files = [result["file"], f"{result['file']}.json"] if result["file"] else []
    assert left_in(tmp_path / "data" / "models") == files

    again = command("tune")
    assert (again.exit_code, again.stdout, "making" in again.stderr) == (0, first.stdout, False)


@pytest.mark.parametrize("model", ["none.gguf", "owner/repo/none.gguf"])
def test_without_a_download_there_is_nothing_to_tune(command, model):
    result = command("tune", WEBCHAT_MODEL=model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "none.gguf" in result.stderr


def test_a_disk_without_room_is_named_before_anything_is_made(command, tmp_path):
    free = shutil.disk_usage(tmp_path).free
    os.truncate(tmp_path / "tiny-q4_k_m.gguf", free // len(RECIPES) + 10**9)  # a hole: it takes no room itself
    result = command("tune")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.search(r"^Error: Tuning needs [\d,.]+ MB in .* are free", result.stderr, re.MULTILINE)
    assert left_in(tmp_path / "data" / "models") == []


def test_a_model_that_cannot_be_served_is_refused(command, tmp_path):
    result = command("tune", WEBCHAT_MODEL=str(write_recurrent_model(tmp_path / "mamba.gguf")))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "recurrent" in result.stderr
    assert left_in(tmp_path / "data" / "models") == []


# ---- what candidates are made from ------------------------------------------------------------------------

BEST_SOURCE = """
from webchat.config import load_settings
from webchat.engine.tuning_source import best_source
from webchat.engine.weights import fetch
settings = load_settings()
source = best_source(settings, fetch(settings))
print(source.path.name, source.bound, source.fetched)
"""


@pytest.mark.parametrize(
    ("download", "finer"),
    [
        ("tiny-q4_k_m.gguf", "tiny-q8_0.gguf"),
        ("tiny-q4_k_m.gguf", "tiny-fp16.gguf"),
        ("Tiny-Q5_K_M.gguf", "Tiny-F16.gguf"),
        ("tiny.IQ4_NL.gguf", "tiny.Q8_0.gguf"),
    ],
)
def test_a_finer_file_beside_the_download_is_taken(settings, tmp_path, tiny_model, download, finer):
    shutil.copy(tiny_model, tmp_path / finer)
    mine = settings.model_copy(update={"model": str(tmp_path / download)})
    assert best_source(mine, tmp_path / download) == Source(tmp_path / finer, 0.03)


@pytest.mark.parametrize("download", ["tiny-q4_k_m.gguf", "tiny.gguf", "tiny-q8_0.gguf", "faq4_mini.gguf"])
def test_else_the_download_itself_is_taken(settings, tmp_path, tiny_model, download, capsys):
    shutil.copy(tiny_model, tmp_path / "other-q8_0.gguf")
    mine = settings.model_copy(update={"model": str(tmp_path / download)})
    assert best_source(mine, tmp_path / download) == Source(tmp_path / download, 0.05)
    assert f"from {download} itself" in capsys.readouterr().err


@pytest.mark.parametrize("finer", ["q8_0", "fp16", None])
def test_the_hub_is_asked_for_a_finer_file(tmp_path, tiny_model, finer, start_python):
    with FakeHub() as hub:
        for kind in ("q4_k_m", finer):
            hub.files[f"shop/t-GGUF/t-{kind}.gguf"] = tiny_model.read_bytes()
        out = start_python(BEST_SOURCE, WEBCHAT_MODEL="shop/t-GGUF/t-q4_k_m.gguf", HF_ENDPOINT=hub.endpoint)
    assert out == (f"t-{finer}.gguf 0.03 True\n" if finer else "t-q4_k_m.gguf 0.05 False\n")


@pytest.fixture
def start_python(tmp_path):
    """Runs a script in a process of its own: the hub's library reads its settings when it is imported."""

    def run(script, **environment):
        place = {
            "WEBCHAT_DATA_DIR": str(tmp_path / "data"),
            "HF_HOME": str(tmp_path / "hf"),
            "PYTHONPATH": str(CHECKOUT),
        }
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | place | environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


# ---- a run that is ended ----------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_nothing_that_stays(command, tmp_path, ending):
    """The next run begins anew; after Ctrl-C nothing is left even before."""
    models = tmp_path / "data" / "models"
    environment = {"WEBCHAT_DATA_DIR": str(tmp_path / "data"), "WEBCHAT_MODEL": str(tmp_path / "tiny-q4_k_m.gguf")}
    process = subprocess.Popen(
        [sys.executable, "-m", "webchat.cli", "model", "tune"],
        env=os.environ | environment | {"PYTHONPATH": str(CHECKOUT), "WEBCHAT_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        said = process.stderr.readline() + process.stderr.readline()  # how long, and from what: it is at work now
        process.send_signal(ending)
        process.communicate(timeout=DEADLINE)
    assert "about" in said
    if ending == signal.SIGINT:
        assert process.returncode == 130
        assert left_in(models) == []
    assert list((tmp_path / "data" / "tuning").iterdir()) == []
    assert command("path", "--served", WEBCHAT_MODEL_VARIANT="auto").stdout.strip().endswith("tiny-q4_k_m.gguf")


# ---- which file is in use ---------------------------------------------------------------------------------


@pytest.fixture
def shop(settings, tmp_path, tiny_model):
    """Settings that want the tuned file of a download of their own."""
    download = tmp_path / "mine.gguf"
    shutil.copy(tiny_model, download)
    return settings.model_copy(update={"model": str(download), "model_variant": "auto"})


def kept(shop, four_bits, tmp_path, name="four"):
    """What a run leaves that has chosen the file of four bits."""
    download = tmp_path / "mine.gguf"
    for folder in (shop.models_dir, tmp_path / "tuning"):
        folder.mkdir(exist_ok=True)
    candidate = shop.models_dir / "candidate"
    shutil.copy(four_bits, candidate)
    result = Result(
        download=download.name,
        size=download.stat().st_size,
        sha256=sha256_of(download),
        processor=processor(),
        source=download.name,
        bound=0.05,
        chosen=name,
        file=f"mine.{name}.gguf",
        measured=(DOWNLOAD, measured(name, 1.5)),
        measured_at="2026-01-01T00:00:00+00:00",
    )
    keep(shop, download, result, candidate)
    return shop.models_dir / result.file


def in_use(shop):
    warnings = []
    return file_in_use(shop, warnings.append), warnings


def test_a_result_is_read_as_it_was_written(shop, four_bits, tmp_path):
    kept(shop, four_bits, tmp_path)
    read = Result.read(result_path(shop, tmp_path / "mine.gguf"))
    assert (read.chosen, read.measured[1]) == ("four", measured("four", 1.5))


def test_the_tuned_file_is_in_use_only_when_asked_for(shop, four_bits, tmp_path):
    tuned = kept(shop, four_bits, tmp_path)
    assert in_use(shop) == (tuned, [])
    assert in_use(shop.model_copy(update={"model_variant": "as-is"})) == (tmp_path / "mine.gguf", [])


def test_where_the_download_won_it_is_in_use_without_a_warning(shop, four_bits, tmp_path):
    kept(shop, four_bits, tmp_path)
    path = result_path(shop, tmp_path / "mine.gguf")
    replace(Result.read(path), file="", chosen=AS_IS).write(path)
    assert in_use(shop) == (tmp_path / "mine.gguf", [])


def never(path, _tuned, result):
    result.unlink()


def gone(path, tuned, _result):
    tuned.unlink()


def cut_short(path, tuned, _result):
    os.truncate(tuned, 1000)


def changed(path, _tuned, _result):
    path.write_bytes(path.read_bytes()[:-4] + b"else")


def nonsense(path, _tuned, result):
    result.write_text('{"measured": [3]}')


@pytest.mark.parametrize("part", ["kernels", "llama_cpp.__version__", "processor"])
def test_a_result_of_other_kernels_llama_cpp_or_processor_is_not_used(shop, four_bits, tmp_path, monkeypatch, part):
    tuned = kept(shop, four_bits, tmp_path)
    assert in_use(shop) == (tuned, [])
    room = "variants" if part == "processor" else "llama"
    monkeypatch.setattr(f"webchat.engine.{room}.{part}", "0.0.0" if "version" in part else lambda: "other")
    path, (warning,) = in_use(shop)
    assert path == tmp_path / "mine.gguf"
    assert "webchat model tune" in warning


@pytest.mark.parametrize("misfortune", [never, gone, cut_short, changed, nonsense])
def test_without_its_tuned_file_a_download_is_in_use_with_one_warning(shop, four_bits, tmp_path, misfortune):
    tuned, download = kept(shop, four_bits, tmp_path), tmp_path / "mine.gguf"
    misfortune(download, tuned, result_path(shop, download))
    path, (warning,) = in_use(shop)
    assert path == download
    assert "webchat model tune" in warning


def test_a_new_result_forgets_the_files_of_the_one_before(shop, four_bits, tmp_path):
    old = kept(shop, four_bits, tmp_path)
    mine = shop.models_dir / "of-the-operator.gguf"
    shutil.copy(four_bits, mine)
    os.utime(tmp_path / "mine.gguf", (1, 1))  # the download changed: its result has another name
    new = kept(shop, four_bits, tmp_path, name="other")
    assert [old.exists(), new.exists(), mine.exists()] == [False, True, True]
    assert len(list((tmp_path / "tuning").glob("*.json"))) == 1


def test_a_tuned_file_is_served_under_its_own_name(shop, four_bits, tmp_path):
    tuned = kept(shop, four_bits, tmp_path)
    application = create_app(shop)
    try:
        engine = application.extensions["webchat"].engine
        engine.wait_until_ready(DEADLINE)
        assert engine.name == tuned.stem == "mine.four"
    finally:
        close_app(application)


def test_the_server_warns_once_when_it_cannot_serve_a_tuned_file(shop, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # or later tests would log to what is captured here
    close_app(create_app(shop))
    assert capsys.readouterr().err.count("webchat model tune") == 1


def test_the_commands_know_the_tuned_file(shop, four_bits, tmp_path):
    tuned = kept(shop, four_bits, tmp_path)
    environment = {"WEBCHAT_DATA_DIR": str(tmp_path), "WEBCHAT_MODEL": shop.model, "WEBCHAT_MODEL_VARIANT": "auto"}

    def run(*arguments):
        return CliRunner().invoke(main, ["model", *arguments], env=environment)

    assert run("path").stdout.strip() == shop.model
    assert run("path", "--served").stdout.strip() == str(tuned)
    assert re.search(r"^\* mine\.four\.gguf .* webchat model tune, from mine\.gguf$", run("list").stdout, re.MULTILINE)
    assert f"{tuned}: intact" in run("verify").stdout
    tuned.write_bytes(tuned.read_bytes()[:-4] + b"else")
    damaged = run("verify")
    assert damaged.exit_code == 1
    assert "webchat model tune" in damaged.stderr


# ---- the real weights -------------------------------------------------------------------------------------


@pytest.mark.model
def test_the_real_weights_become_smaller_and_nearly_as_good(real_model, tmp_path):
    made = tmp_path / "made.gguf"
    recipe = next(iter(RECIPES.values()))
    threads = load_settings().threads or len(os.sched_getaffinity(0))
    make(real_model, made, recipe.types(types(real_model)), measure.importance(real_model, threads), threads)
    assert made.stat().st_size < real_model.stat().st_size
    before, after = measure.read_texts(real_model, threads), measure.read_texts(made, threads)
    assert all(-0.02 < after[text].loss(before[text]) < 0.08 for text in measure.TEXTS)
    assert all(after[text].agreement(before[text]) > 0.75 for text in measure.TEXTS)
