"""Settings: one typed class, read from the environment (``WEBCHAT_*``) and from ``.env``.

A setting is a triple: name, default, sentence. ``tests/test_docs.py`` holds the README's table against this class.
"""

from __future__ import annotations

import difflib
import os
import reprlib
import zoneinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

CHECKOUT = Path(__file__).resolve().parent.parent
_SMALLEST_PROMPT = 384  # tokens: the persona and a question of a few sentences
# Bytes of a request: room for an entry's form with all its fields full, of which a character takes up to twelve;
# parsing more costs the others their time.
LARGEST_BODY = 640 * 1024
DEFAULT_MODEL = "Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"

ONE_WORKER = (
    "webchat with a model of its own runs exactly one worker: the model, its cache and its queue live in that process. "
    "Remove --workers and WEB_CONCURRENCY."
)
_PARALLEL_ELSEWHERE = 32
_OF_THE_TESTS = "WEBCHAT_TEST_"  # begins like a setting, but tells the tests where weights and data are
_REDIS_SCHEMES = ("redis", "rediss", "redis+unix")
IN_MEMORY = "memory://"  # no Redis, also where `.env` names one: an empty variable leaves that in force


class Refusal(Exception):  # noqa: N818 - named for what the person at the terminal gets
    """Something cannot be done; the message is a sentence for the person who asked for it."""


class ConfigurationError(Refusal):
    """A setting cannot be used; the message is a sentence for the person who set it."""


class Settings(BaseSettings):
    """Everything that may differ between two installations."""

    model_config = SettingsConfigDict(
        env_prefix="WEBCHAT_", env_file=CHECKOUT / ".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field(
        "127.0.0.1",
        validation_alias=AliasChoices("HOST", "WEBCHAT_HOST"),
        description="Address to listen on.",
    )
    port: int = Field(
        8000,
        ge=1,
        le=65535,
        validation_alias=AliasChoices("PORT", "WEBCHAT_PORT"),
        description="Port to listen on.",
    )
    data_dir: Path = Field(CHECKOUT / "data", description="Where the database, the models and the secret key live.")
    database_url: str = Field(
        "",
        description="SQLAlchemy URL; empty means SQLite in the data directory. PostgreSQL: `postgresql+psycopg://…`.",
    )
    model: str = Field(
        DEFAULT_MODEL, description="`owner/repo/file.gguf` on the hub, a local path, or `https://…#sha256=…`."
    )
    model_variant: Literal["as-is", "auto"] = Field(
        "as-is", description="`as-is` serves the file as downloaded, `auto` the one that `webchat model tune` chose."
    )
    encoder: str = Field(
        "auto",
        min_length=1,
        description="Finds FAQ questions by their meaning: `auto`, `none`, or a GGUF file named like `WEBCHAT_MODEL`.",
    )
    engine_url: str = Field(
        "",
        description="Ask an OpenAI-compatible server (vLLM, SGLang, llama-server) instead of a model here: `https://…/v1`.",
    )
    engine_model: str = Field(
        "", max_length=200, description="The model to ask that server for; empty takes the first it lists."
    )
    engine_key: SecretStr = Field(SecretStr(""), description="The key that server wants, if any.")
    secret_key: SecretStr = Field(
        SecretStr(""), description="Signs cookies; made and kept in the data directory when empty."
    )
    admin_password: SecretStr = Field(
        SecretStr(""), description="Sets operator `admin` on the first start, for unattended deploys."
    )
    shop_name: str = Field(
        "小舟商店", min_length=1, max_length=40, description="The shop's name, as the assistant says it."
    )
    timezone: str = Field(
        "Asia/Shanghai", description="The shop's time zone; times are stored in UTC and shown in this zone."
    )
    max_new_tokens: int = Field(128, ge=1, le=4096, description="Longest answer of the model, in tokens.")
    context_tokens: int = Field(
        2048,
        ge=512,
        le=32768,
        description="Longest prompt with its answer, in tokens; older turns are left out.",
    )
    max_parallel: int = Field(
        16,
        ge=1,
        le=64,
        description="Answers the model writes at the same time; of a server at `WEBCHAT_ENGINE_URL`, 32 unless set.",
    )
    max_queue: int = Field(
        64,
        ge=1,
        le=1024,
        description="Questions that may wait for the model, programs' in half of it; more are turned away.",
    )
    threads: int = Field(0, ge=0, le=256, description="Processor threads for the model; 0 takes every core.")
    parked_mb: int = Field(
        80, ge=0, le=65536, description="Memory for conversations that wait for their next turn, in MB; 0 keeps none."
    )
    max_message_chars: int = Field(
        2000, ge=1, le=8000, description="Longest question, in characters; longer is refused with 413."
    )
    max_sockets: int = Field(
        512, ge=1, le=4096, description="Open WebSockets; for one more the page that was quiet for longest gives way."
    )
    # The defaults are rates, as a test knows; to read them here would import all that counts them.
    rate_visitor: str = Field("30 per minute", validate_default=False, description="Questions of one visitor.")
    rate_address: str = Field(
        "600 per 10 minutes",
        validate_default=False,
        description="Questions from one network address (offices share one).",
    )
    redis_url: str = Field("", description="Shares the rate limits between processes: `redis://…`.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose pages may show the widget, call `POST /chat` and open sockets, separated by commas.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=8, description="How many reverse proxies stand in front and set `X-Forwarded-*`."
    )
    log_format: Literal["text", "json"] = Field("text", description="`text` for people, `json` for collectors.")

    @field_validator("host")
    @classmethod
    def _without_brackets(cls, value: str) -> str:
        """IPv6 addresses are often written as they stand in a URL."""
        return value.removeprefix("[").removesuffix("]")

    @field_validator("rate_visitor", "rate_address")
    @classmethod
    def _a_rate(cls, value: str) -> str:
        from limits import parse_many  # noqa: PLC0415 - brings asyncio and more; few set a rate

        try:
            lets_someone_ask = all(rate.amount for rate in parse_many(value))
        except ValueError:
            lets_someone_ask = False
        if not lets_someone_ask:
            raise ValueError(
                f"{reprlib.repr(value)} is not a rate; write one as in `30 per minute` or `600 per 10 minutes`"
            )
        return value

    @field_validator("redis_url")
    @classmethod
    def _a_redis(cls, value: str) -> str:
        """Whether it answers is not asked: a lost Redis must not stop the shop."""
        if value in ("", IN_MEMORY):
            return ""
        from limits.errors import ConfigurationError as ClientMissing  # noqa: PLC0415 - see above
        from limits.storage import storage_from_string  # noqa: PLC0415

        # The URL may hold a password, so neither it nor the error is shown.
        wrong = ValueError("this is not the address of a Redis; write one as in redis://host:6379")
        try:
            parts = urlsplit(value)
            where = parts.path if parts.scheme == "redis+unix" else parts.hostname
            if parts.scheme not in _REDIS_SCHEMES or not where:
                raise wrong
            storage_from_string(value)  # connects to nothing yet
        except ClientMissing:
            raise ValueError(
                "the client for Redis is missing; type `.venv/bin/pip install -c constraints.txt -e '.[redis]'`"
            ) from None
        except ValueError:  # ours, or that of urlsplit or of the client
            raise wrong from None
        return value

    @field_validator("engine_url")
    @classmethod
    def _a_server(cls, value: str) -> str:
        """Whether it answers is not asked: a server that is down must not stop the shop."""
        if not value:
            return value
        # The URL may hold a password, so neither it nor the error is shown.
        wrong = ValueError("this is not the address of a server; write one as in https://host:8080/v1")
        try:
            parts = urlsplit(value)
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.port == 0
                or not value.isprintable()
            ):
                raise wrong
        except ValueError:
            raise wrong from None
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("only scheme, host and path belong here; a key goes into WEBCHAT_ENGINE_KEY")
        if parts.path.rstrip("/").endswith("/chat/completions"):
            raise ValueError("write it without /chat/completions, as in https://host:8080/v1")
        return value

    @field_validator("engine_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value().strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError("this is not a key: keys are made of ASCII letters, digits and signs")
        return SecretStr(key)

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        for origin in origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not host or "/" in host:
                raise ValueError(f"{origin!r} is not an origin; write scheme and host, as in https://shop.example")
        return origins

    @field_validator("context_tokens")
    @classmethod
    def _room_for_questions(cls, value: int, others: ValidationInfo) -> int:
        answer = others.data.get("max_new_tokens", 0)
        if value - answer < _SMALLEST_PROMPT:
            raise ValueError(
                f"{value} tokens leave no room for a question beside WEBCHAT_MAX_NEW_TOKENS ({answer}); "
                f"at least {answer + _SMALLEST_PROMPT} are needed"
            )
        return value

    @field_validator("data_dir")
    @classmethod
    def _from_anywhere(cls, value: Path) -> Path:
        """A relative path is meant from the checkout: the same one for every command, wherever it is typed."""
        try:
            return (CHECKOUT / value.expanduser()).resolve()
        except (OSError, RuntimeError):  # a home nobody has, a link that leads to itself
            raise ValueError(f"{str(value)!r} leads nowhere") from None

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        """One zone is looked up: to list all of them means to open some six hundred files."""
        try:
            known = not value.startswith(("posix", "right")) and zoneinfo.ZoneInfo(value)  # copies under other rules
        except (KeyError, ValueError, OSError):  # unknown, no name of a zone, a folder of zones
            known = False
        if not known:
            raise ValueError(f"{value!r} is not a time zone of this machine; write one as in Asia/Shanghai")
        return value

    @property
    def resolved_database_url(self) -> str:
        """The database to open: the setting, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'webchat.db'}"

    @property
    def answers_at_once(self) -> int:
        """``max_parallel``, or what suits a server of models, which writes many answers at hardly the cost of one."""
        by_default = self.engine_url and "max_parallel" not in self.model_fields_set
        return _PARALLEL_ELSEWHERE if by_default else self.max_parallel

    @property
    def models_dir(self) -> Path:
        """Where fetched weights are kept."""
        return self.data_dir / "models"


def load_settings(**overrides: object) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: naming each variable that cannot be used, and why.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise ConfigurationError(_sentence(error)) from None


def unknown_settings() -> dict[str, str]:
    """Variables of the environment and of ``.env`` that look like settings and are none.

    Returns:
        Each with the closest name of a setting; empty where none is close.
    """
    known = {name for field in Settings.model_fields.items() for name in _variables(*field)}
    given = {name.upper() for name in (*os.environ, *DotEnvSettingsSource(Settings).env_vars)}
    unknown = sorted(
        name for name in given - known if name.startswith("WEBCHAT_") and not name.startswith(_OF_THE_TESTS)
    )
    # Compared without what all of them begin with, or every name would be close.
    names = {name.removeprefix("WEBCHAT_"): name for name in sorted(known, reverse=True)}
    close = {name: difflib.get_close_matches(name.removeprefix("WEBCHAT_"), names, 1) for name in unknown}
    return {name: names[found[0]] if found else "" for name, found in close.items()}


def _variables(name: str, field: FieldInfo) -> list[str]:
    """The names by which a setting goes in the environment, the usual one first."""
    alias = field.validation_alias
    return [str(choice) for choice in alias.choices] if isinstance(alias, AliasChoices) else [f"WEBCHAT_{name.upper()}"]


def _sentence(error: ValidationError) -> str:
    fields = {key: field for name, field in Settings.model_fields.items() for key in (name, *_variables(name, field))}
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        variable = name if name.isupper() else f"WEBCHAT_{name.upper()}"
        lines.append(f"{variable}: {_what_is_wrong(problem, fields[name])}")
    return "Settings that cannot be used:\n  " + "\n  ".join(lines)


def _what_is_wrong(problem: ErrorDetails, field: FieldInfo) -> str:
    """The problem in plain words, with the value where it can be no secret: a number, or one of a few words."""
    given, bounds = problem["input"], problem.get("ctx", {})
    match problem["type"]:
        case "int_parsing" | "int_parsing_size" | "greater_than_equal" | "less_than_equal":
            least, most = _bound(field, "ge"), _bound(field, "le")
            return f"{reprlib.repr(given)} is not a whole number from {least} to {most}"
        case "literal_error":
            return f"{reprlib.repr(given)} is not {bounds['expected']}"
        case "string_too_long":
            return f"has {len(given)} characters; at most {bounds['max_length']} fit"
        case "string_too_short":
            return f"has {len(given)} characters; at least {bounds['min_length']} are needed"
        case _:
            return problem["msg"].removeprefix("Value error, ")


def _bound(field: FieldInfo, kind: str) -> Any:
    return next(getattr(bound, kind) for bound in field.metadata if hasattr(bound, kind))
