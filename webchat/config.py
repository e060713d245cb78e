"""Settings: one typed class, read from the environment (``WEBCHAT_*``) and from ``.env``.

A setting is a triple: name, default, sentence. ``tests/test_docs.py`` holds the README's table against this class.
"""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent
_SMALLEST_PROMPT = 384  # tokens: the persona and a question of a few sentences
DEFAULT_MODEL = "Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"


class ConfigurationError(Exception):
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
    max_parallel: int = Field(8, ge=1, le=64, description="Answers the model writes at the same time.")
    max_queue: int = Field(
        64, ge=1, le=1024, description="Questions that may wait for the model; more are turned away."
    )
    threads: int = Field(0, ge=0, le=256, description="Processor threads for the model; 0 takes every core.")
    max_message_chars: int = Field(
        2000, ge=1, le=20000, description="Longest question, in characters; longer is refused with 413."
    )
    max_sockets: int = Field(512, ge=1, le=4096, description="Open WebSockets; one more is asked to come back later.")
    rate_visitor: str = Field("30 per minute", description="Questions of one visitor.")
    rate_address: str = Field(
        "600 per 10 minutes", description="Questions from one network address (offices share one)."
    )
    redis_url: str = Field("", description="Shares the rate limits between processes: `redis://…`.")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins whose pages may call `POST /chat` and open sockets, separated by commas."
    )
    trusted_proxies: int = Field(
        0, ge=0, le=8, description="How many reverse proxies stand in front and set `X-Forwarded-*`."
    )
    log_format: Literal["text", "json"] = Field("text", description="`text` for people, `json` for collectors.")

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
        return (CHECKOUT / value.expanduser()).resolve()

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError(f"{value!r} is not a time zone of this machine; write one as in Asia/Shanghai")
        return value

    @property
    def resolved_database_url(self) -> str:
        """The database to open: the setting, or SQLite in the data directory."""
        return self.database_url or f"sqlite:///{self.data_dir / 'webchat.db'}"

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


def _sentence(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        name = name if name.isupper() else f"WEBCHAT_{name.upper()}"
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return "Settings that cannot be used:\n  " + "\n  ".join(lines)
