"""Settings: what may be set, and the sentence for each thing that cannot."""

from pathlib import Path

import pytest

from webchat.config import CHECKOUT, IN_MEMORY, ConfigurationError, Settings, load_settings, unknown_settings

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
    "WEBCHAT_TIMEZONE": [
        "Mars/Olympus",
        "../../etc/passwd",
        "+8",
        "Asia",
        "/etc/localtime",
        "posix/Asia/Shanghai",
        ".",
    ],
    "WEBCHAT_LOG_FORMAT": ["xml", "JSON"],
    "WEBCHAT_SHOP_NAME": ["x" * 41],
    "WEBCHAT_DATA_DIR": ["~nobody-has-this-name/data"],
    "WEBCHAT_RATE_VISITOR": ["often", "30", "per minute", "30 per fortnight", "-1 per minute", "30/", "0 per minute"],
    "WEBCHAT_RATE_ADDRESS": ["often", "600 per 10 minutes; often"],
    "WEBCHAT_REDIS_URL": ["localhost:6379", "http://localhost", "redis", "redis://", "redis://h:x", "redis://h:99999"],
    "WEBCHAT_ENGINE_URL": [
        "localhost:8080",
        "ftp://host/v1",
        "http://",
        "http://host:x",
        "http://host:99999",
        "http://key@host/v1",
        "https://host/v1?key=1",
        "https://host/v1/chat/completions",
        "http://ho\nst/",
    ],
    "WEBCHAT_ENGINE_MODEL": ["x" * 201],
    "WEBCHAT_ENGINE_KEY": ["密钥", "a\nb"],
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


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "abc", "'abc' is not a whole number from 1 to 65535"),
        ("PORT", "0", "'0' is not a whole number from 1 to 65535"),
        ("WEBCHAT_THREADS", "257", "'257' is not a whole number from 0 to 256"),
        ("WEBCHAT_MAX_QUEUE", "9" * 5000, "'999999999999...9999999999999' is not a whole number from 1 to 1024"),
        ("WEBCHAT_LOG_FORMAT", "xml", "'xml' is not 'text' or 'json'"),
        ("WEBCHAT_SHOP_NAME", "x" * 41, "has 41 characters; at most 40 fit"),
        ("WEBCHAT_RATE_VISITOR", "often", "'often' is not a rate; write one as in `30 per minute`"),
    ],
)
def test_the_sentence_says_what_was_written_and_what_may_be(monkeypatch, name, value, sentence):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert f"{name}: {sentence}" in str(refused.value)


def test_an_empty_shop_name_is_refused():
    with pytest.raises(ConfigurationError, match="WEBCHAT_SHOP_NAME: has 0 characters; at least 1 are needed"):
        load_settings(shop_name="")


def test_secrets_are_not_repeated(monkeypatch):
    monkeypatch.setenv("WEBCHAT_SECRET_KEY", "hunter2")
    monkeypatch.setenv("WEBCHAT_ADMIN_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load_settings())
    monkeypatch.setenv("WEBCHAT_REDIS_URL", "redis://:hunter2@host:port")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "rediss://:word@redis.example", "redis+unix:///run/redis.sock"]
)
def test_an_address_of_a_redis_is_taken_whether_or_not_it_answers(url):
    assert load_settings(redis_url=url).redis_url == url


def test_no_redis_can_be_said_although_a_file_names_one(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("WEBCHAT_REDIS_URL=redis://127.0.0.1:1/0\n")
    monkeypatch.setenv("WEBCHAT_REDIS_URL", IN_MEMORY)
    assert load_settings(_env_file=tmp_path / ".env").redis_url == ""


@pytest.mark.parametrize("setting", ["rate_visitor", "rate_address"])
def test_the_rates_that_nobody_set_are_rates(setting):
    default = Settings.model_fields[setting].default
    assert load_settings(**{setting: default}) == load_settings()  # what is given is checked, a default is not


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_host_is_taken_with_and_without_brackets(monkeypatch, host):
    monkeypatch.setenv("HOST", host)
    assert load_settings().host == "::1"


def test_a_misspelt_variable_is_found_with_the_closest_name(monkeypatch, tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("webchat_shopname=X\nOTHER=1\nWEBCHAT_TIMEZONE=UTC\n")
    monkeypatch.setitem(Settings.model_config, "env_file", env_file)
    typed = ("WEBCHAT_MAX_QUEU", "WEBCHAT_XYZZY", "WEBCHAT_PROT", "WEBCHAT_HOST")
    for name in (*typed, "WEBCHAT_TEST_MODEL", "WEBCHAT_TEST_ENCODERS", "WEBCHAT_TEST_FAQ_SETS"):
        monkeypatch.setenv(name, "1")
    assert unknown_settings() == {
        "WEBCHAT_MAX_QUEU": "WEBCHAT_MAX_QUEUE",
        "WEBCHAT_PROT": "PORT",
        "WEBCHAT_SHOPNAME": "WEBCHAT_SHOP_NAME",
        "WEBCHAT_XYZZY": "",
    }


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


def test_a_relative_data_directory_is_the_same_one_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load_settings(data_dir=Path("data"))
    assert settings.resolved_database_url == f"sqlite:///{CHECKOUT}/data/webchat.db"


def test_a_variable_of_another_program_is_ignored(monkeypatch):
    monkeypatch.setenv("WEBCHAT_NO_SUCH_SETTING", "1")
    monkeypatch.setenv("MODEL", "gpt")
    assert load_settings().model.startswith("Qwen/")


def test_settings_do_not_change_while_the_site_runs():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 9000


def test_a_server_of_models_takes_more_at_once_unless_told_otherwise():
    url = "http://127.0.0.1:9/v1"
    assert load_settings().answers_at_once == 16
    assert load_settings(engine_url=url).answers_at_once == 32
    assert load_settings(engine_url=url, max_parallel=8).answers_at_once == 8


def test_the_key_of_a_server_is_never_shown(monkeypatch):
    monkeypatch.setenv("WEBCHAT_ENGINE_KEY", " s3cret\n")
    settings = load_settings()
    assert settings.engine_key.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)
    monkeypatch.setenv("WEBCHAT_ENGINE_URL", "https://s3cret@host/v1")
    with pytest.raises(ConfigurationError) as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)
