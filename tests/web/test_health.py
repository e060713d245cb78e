"""Is it up, can it answer, and how is it doing; and what still works when the model does not."""

import re
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.page import Page
from support.visitor import HTMX, Visitor, let_finish, text_of, wait_until, wait_until_idle

from webchat.engine.generation import EngineUnavailable
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine
from webchat.storage import faq

NO_MODEL = {"model": "The model is not running; the log says why."}  # where its file should be is not for strangers


def readiness(app):
    response = app.test_client().get("/readyz", headers={"Accept-Language": "en"})
    assert response.mimetype == "application/json"
    assert set(response.json) == {"status", "problems"}
    assert (response.json["status"] == "ready") == (response.json["problems"] == {})
    assert ("Retry-After" in response.headers) == (response.status_code == 503)
    assert response.status_code == (200 if response.json["status"] in ("ready", "degraded") else 503)
    return response.json["status"], response.json["problems"]


def wait_until_ready(app):
    wait_until(lambda: readiness(app) == ("ready", {}))


def metrics_of(app):
    response = app.test_client().get("/metrics")
    assert response.status_code == 200
    families = list(text_string_to_metric_families(response.text))
    assert all(family.documentation for family in families)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.fixture
def without_model(new_app):
    """A site whose model file is missing, with one official answer."""
    app = new_app(model="/nowhere/model.gguf")
    with app.extensions["webchat"].database.write() as rows:
        faq.create(rows, phrasings=["怎么退货？"], answer="七天内可以**退货**。")
    return app


# ---- up and ready --------------------------------------------------------------------------------


def test_a_site_that_has_everything_is_ready(new_app):
    app = new_app()
    wait_until_ready(app)
    assert app.test_client().get("/healthz").json == {"status": "ok"}


def test_while_the_model_loads_the_site_is_up_and_not_ready(new_app, endless_model):
    loads = threading.Event()

    def load():
        loads.wait(60)
        return LlamaBackend(endless_model, sequences=4, cells=4096, threads=1)

    app = new_app(LocalEngine("tiny", load, max_running=2, max_waiting=4))
    try:
        wait_until(lambda: "database" not in readiness(app)[1])
        assert readiness(app) == ("loading", {"model": "The model is being loaded."})
        assert app.test_client().get("/healthz").status_code == 200
        alice = Visitor.of(app)
        conversation = alice.ask("随便说点什么吧，英语也行")  # waits for the model and is not lost
        assert alice.said(conversation)[1]["status"] == "queued"
    finally:
        loads.set()
    wait_until_ready(app)
    let_finish(app, conversation)
    assert alice.said(conversation)[1]["status"] == "done"


def test_a_model_that_could_not_be_loaded_is_said_in_a_sentence(new_app):
    def load():
        raise EngineUnavailable("no memory for 8192 cells of KV cache beside the model")

    app = new_app(LocalEngine("tiny", load, max_running=2, max_waiting=4))
    wait_until(lambda: readiness(app) == ("failed", NO_MODEL))


@pytest.mark.parametrize("content", [b"", b"GGUF", b"<html>not found</html>", b"\0" * 100_000])
def test_a_model_file_that_is_none_is_said_in_a_sentence(new_app, tmp_path, content):
    (tmp_path / "broken.gguf").write_bytes(content)
    app = new_app(model=str(tmp_path / "broken.gguf"))
    wait_until(lambda: readiness(app) == ("failed", NO_MODEL))
    assert app.test_client().get("/healthz").status_code == 200


def test_of_two_troubles_the_worse_one_counts(new_app, data_dir, endless_model):
    loads = threading.Event()

    def load():
        loads.wait(60)
        return LlamaBackend(endless_model, sequences=4, cells=4096, threads=1)

    engine = LocalEngine("tiny", load, max_running=2, max_waiting=4)
    app = new_app(engine, database_url=f"sqlite:///file:{data_dir}/webchat.db?mode=ro&uri=true")
    try:
        wait_until(lambda: readiness(app)[0] == "failed")
        assert set(readiness(app)[1]) == {"model", "database"}
    finally:
        loads.set()


def test_a_database_that_cannot_be_written_makes_the_site_not_ready(new_app, data_dir):
    app = new_app(database_url=f"sqlite:///file:{data_dir}/webchat.db?mode=ro&uri=true")
    wait_until(lambda: readiness(app) == ("failed", {"database": "The database is read-only."}))
    assert app.test_client().get("/healthz").status_code == 200


def test_a_database_that_cannot_be_written_any_more_makes_the_site_not_ready(new_app, data_dir):
    app = new_app()
    wait_until_ready(app)
    (data_dir / "webchat.db").rename(data_dir / "gone.db")
    wait_until(lambda: readiness(app)[0] == "failed")
    assert app.test_client().get("/healthz").status_code == 200
    for leftover in data_dir.glob("webchat.db*"):
        leftover.unlink()
    (data_dir / "gone.db").rename(data_dir / "webchat.db")
    wait_until_ready(app)


# ---- without a model -----------------------------------------------------------------------------


def test_a_missing_model_file_is_said_and_official_answers_still_come(without_model):
    wait_until(lambda: readiness(without_model) == ("failed", NO_MODEL))
    alice = Visitor.of(without_model)
    conversation = alice.ask("怎么退货？")
    assert alice.said(conversation)[1]["text"] == "七天内可以**退货**。"
    assert without_model.test_client().get("/healthz").status_code == 200


def test_without_a_model_the_page_says_so_and_names_none(without_model):
    wait_until(lambda: without_model.extensions["webchat"].engine.stats().state == "failed")
    page = Page(Visitor.of(without_model).get("/").text)
    assert "AI 回答暂时不可用" in page.root.by_class("banner")[0].text
    assert page.root.by_class("small-print") == []


def test_without_a_model_a_question_for_it_is_kept_and_can_be_retried(without_model):
    alice = Visitor.of(without_model)
    conversation = alice.ask("随便说点什么吧，英语也行")
    let_finish(without_model, conversation)
    answer = alice.page(conversation).messages[1]
    assert (answer.status, answer.can_retry) == ("failed", True)
    assert "AI 回答暂时不可用" in answer.element.text
    assert alice.post(f"/c/{conversation}/messages/{answer.id}/retry").status_code == 303
    let_finish(without_model, conversation)
    assert alice.page(conversation).messages[1].status == "failed"


def test_without_a_model_htmx_gets_the_turn_and_then_the_failure(without_model):
    alice = Visitor.of(without_model)
    conversation = alice.ask("怎么退货？")
    page = alice.page(conversation)
    response = alice.send("随便说点什么吧，英语也行", conversation, headers=HTMX)
    assert response.status_code == 200
    page.apply(response.text)
    assert [message.role for message in page.messages] == ["visitor", "assistant"] * 2


# ---- figures -------------------------------------------------------------------------------------


def test_the_figures_can_be_read_by_prometheus_and_grow(new_app):
    app = new_app()
    wait_until_idle(app)
    before = metrics_of(app)
    assert before["webchat_engine_ready",] == 1
    assert before["webchat_sockets_open",] == 0
    alice = Visitor.of(app)
    conversation = alice.ask("say something nice")  # what the tiny model writes is no Chinese: that is asked for twice
    let_finish(app, conversation)
    wait_until(lambda: metrics_of(app)["webchat_engine_running",] == 0)
    after = metrics_of(app)
    assert after["webchat_engine_answers_total",] == before["webchat_engine_answers_total",] + 1
    for kind in ("prompt", "reused"):
        assert after["webchat_engine_tokens_total", kind] > before["webchat_engine_tokens_total", kind]


def test_the_figures_say_that_the_model_is_missing(without_model):
    wait_until(lambda: without_model.extensions["webchat"].engine.stats().state == "failed")
    assert metrics_of(without_model)["webchat_engine_ready",] == 0


def test_health_tells_nothing_about_visitors(site, alice):
    conversation = alice.ask("怎么退货？")
    for path in ("/healthz", "/readyz", "/metrics"):
        text = alice.get(path).text
        assert conversation not in text
        assert "退货" not in text


def test_gunicorn_serves_official_answers_without_a_model(new_server):
    server = new_server(model=Path("/nowhere/model.gguf")).start()
    server.wait_until(lambda: "model" in server.visitor().get("/readyz").text, "it misses the model")
    server.wait_until(lambda: "model.gguf, which cannot be read" in server.log(), "its log says which")
    assert server.status("/readyz") == 503
    worker = server.worker()
    alice = server.visitor()
    assert "自动回复" in text_of(alice.get(f"/c/{alice.ask('你是谁？')}"))
    assert re.search(r"^webchat_engine_ready 0\.0$", alice.get("/metrics").text, re.MULTILINE)
    assert server.worker() == worker
    assert "Traceback" not in server.log()
