"""Settings: what may be set, and the sentence for each thing that cannot."""

from pathlib import Path

import pytest

from webchat.config import ConfigurationError, load_settings

WRONG = {
    "PORT": ["abc", "0", "65536", "80 80"],
    "WEBCHAT_PORT": ["-1"],
    "WEBCHAT_MAX_NEW_TOKENS": ["0", "4097", "many", "1.5"],
    "WEBCHAT_CONTEXT_TOKENS": ["511", "32769", "2k"],
    "WEBCHAT_MAX_PARALLEL": ["0", "65"],
    "WEBCHAT_MAX_QUEUE": ["0", "1025"],
    "WEBCHAT_THREADS": ["-1", "257"],
    "WEBCHAT_MAX_MESSAGE_CHARS": ["0", "20001"],
    "WEBCHAT_MAX_SOCKETS": ["0", "4097"],
    "WEBCHAT_TRUSTED_PROXIES": ["-1", "9", "yes"],
    "WEBCHAT_TIMEZONE": ["Mars/Olympus", "../../etc/passwd", "+8"],
    "WEBCHAT_LOG_FORMAT": ["xml", "JSON"],
    "WEBCHAT_SHOP_NAME": ["x" * 41],
    "WEBCHAT_ALLOWED_ORIGINS": ["*", "shop.example", "https://", "ftp://shop.example", "https://shop.example/page"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_with_a_sentence_that_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    heading, *lines = str(refused.value).splitlines()
    assert heading == "Settings that cannot be used:"
    assert len(lines) == 1
    variable, _, sentence = lines[0].strip().partition(": ")
    assert variable.removeprefix("WEBCHAT_") == name.removeprefix("WEBCHAT_")
    assert len(sentence) > 10
    assert "pydantic" not in str(refused.value)


def test_all_wrong_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("WEBCHAT_MAX_QUEUE", "none")
    monkeypatch.setenv("WEBCHAT_TIMEZONE", "Mars/Olympus")
    with pytest.raises(ConfigurationError, match="WEBCHAT_MAX_QUEUE: ") as refused:
        load_settings()
    assert "WEBCHAT_TIMEZONE: 'Mars/Olympus' is not a time zone" in str(refused.value)


def test_a_refused_secret_is_not_repeated(monkeypatch):
    monkeypatch.setenv("WEBCHAT_SECRET_KEY", "hunter2")
    monkeypatch.setenv("WEBCHAT_ADMIN_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load_settings())
    monkeypatch.setenv("WEBCHAT_MAX_QUEUE", "hunter2")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    monkeypatch.setenv("WEBCHAT_MAX_NEW_TOKENS", "")
    monkeypatch.setenv("PORT", "")
    assert load_settings().max_new_tokens == 128
    assert load_settings().port == 8000


def test_host_and_port_go_by_either_name(monkeypatch):
    monkeypatch.setenv("WEBCHAT_PORT", "8100")
    monkeypatch.setenv("WEBCHAT_HOST", "0.0.0.0")
    assert (load_settings().host, load_settings().port) == ("0.0.0.0", 8100)
    monkeypatch.setenv("PORT", "8200")
    assert load_settings().port == 8200


def test_origins_are_compared_as_browsers_send_them(monkeypatch):
    monkeypatch.setenv("WEBCHAT_ALLOWED_ORIGINS", " https://Shop.Example/ ,, http://localhost:3000 ")
    assert load_settings().allowed_origins == ("https://shop.example", "http://localhost:3000")
    monkeypatch.setenv("WEBCHAT_ALLOWED_ORIGINS", "")
    assert load_settings().allowed_origins == ()


def test_a_long_answer_is_refused_only_where_it_leaves_no_room_for_the_question(monkeypatch):
    monkeypatch.setenv("WEBCHAT_MAX_NEW_TOKENS", "4096")
    with pytest.raises(ConfigurationError, match=r"2048 tokens leave no room .* at least 4480 are needed"):
        load_settings()
    monkeypatch.setenv("WEBCHAT_CONTEXT_TOKENS", "4480")
    assert load_settings().max_new_tokens == 4096


def test_the_database_lies_in_the_data_directory_unless_it_has_an_address(monkeypatch, tmp_path):
    monkeypatch.setenv("WEBCHAT_DATA_DIR", str(tmp_path))
    assert load_settings().resolved_database_url == f"sqlite:///{tmp_path}/webchat.db"
    monkeypatch.setenv("WEBCHAT_DATABASE_URL", "postgresql+psycopg://shop@db/webchat")
    assert load_settings().resolved_database_url == "postgresql+psycopg://shop@db/webchat"


def test_a_relative_data_directory_is_found_again_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(data_dir=Path("data"))
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/data/webchat.db"


def test_a_variable_of_another_program_is_ignored(monkeypatch):
    monkeypatch.setenv("WEBCHAT_NO_SUCH_SETTING", "1")
    monkeypatch.setenv("MODEL", "gpt")
    assert load_settings().model.startswith("Qwen/")


def test_settings_do_not_change_while_the_site_runs():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 9000
