"""The operators' form of a rule, with a helpful sentence beside each thing that cannot be saved."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, SelectField, StringField, TextAreaField
from wtforms.validators import ValidationError

from webchat.answering.normalise import spelling
from webchat.answering.rules import patterns
from webchat.answering.rules.conditions import Condition
from webchat.answering.rules.intents import INTENTS
from webchat.answering.rules.replies import PLACEHOLDERS, unknown_placeholder
from webchat.answering.rules.schedule import EVERY_DAY, Schedule, Window
from webchat.storage.tables import Rule
from webchat.web.admin.forms import has_controls
from webchat.web.admin.rule_edits import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAME_CHARS = 40
MAX_WORDS = 100
MAX_WORD_CHARS = 50
MAX_REPLY_CHARS = 2_000
MAX_TAG_CHARS = 20


def _one_line(text: str | None) -> str:
    return (text or "").strip()


def _line_ends(text: str | None) -> str:
    return (text or "").replace("\r\n", "\n").replace("\r", "\n").strip()


class DaysField(Field):  # type: ignore[misc]  # wtforms has no types
    """Days of the week, a box for each; Monday is 0."""

    def process_formdata(self, chosen: list[str]) -> None:
        """Take the boxes that were ticked."""
        self.data = [day for day in sorted(EVERY_DAY) if str(day) in chosen]


class RuleForm(FlaskForm):  # type: ignore[misc]  # flask-wtf has no types
    """A rule: name, condition, action and words. ``seen`` is the stamp of the version it was made from."""

    name = StringField(filters=[_one_line])
    intent = SelectField(choices=["", *INTENTS], default="")
    keywords = TextAreaField(filters=[_line_ends])
    every_keyword = SelectField(choices=["", "1"], default="")
    unless = TextAreaField(filters=[_line_ends])
    pattern = StringField(filters=[_one_line])
    hours = SelectField(choices=["", "during", "outside"], default="")
    days_1 = DaysField(default=sorted(EVERY_DAY))
    start_1 = StringField(filters=[_one_line])
    end_1 = StringField(filters=[_one_line])
    days_2 = DaysField(default=[])
    start_2 = StringField(filters=[_one_line])
    end_2 = StringField(filters=[_one_line])
    action = SelectField(choices=["reply", "handoff", "block", "tag"], default="reply")
    reply_zh = TextAreaField(filters=[_line_ends])
    reply_en = TextAreaField(filters=[_line_ends])
    tag = StringField(filters=[_one_line])
    faq_first = BooleanField()
    enabled = BooleanField(default=True)
    seen = HiddenField()

    def __init__(self, shipped: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.shipped = shipped

    def content(self) -> dict[str, Any]:
        """What the valid form says, as columns of the row."""
        content = {
            "enabled": self.enabled.data,
            "condition": self._condition().pack(),
            "action": self.action.data,
            "reply_zh": self.reply_zh.data,
            "reply_en": self.reply_en.data,
            "tag": self.tag.data if self.action.data == "tag" else "",
            "faq_first": self.faq_first.data,
        }
        return content if self.shipped else {**content, "name": self.name.data}

    def draft(self, stored: Rule | None) -> Rule:
        """The rule as it would be saved, in no session."""
        name = stored.name if stored else ""
        return Rule(**{"id": stored and stored.id, "shipped": self.shipped, "name": name, **self.content()})

    def show(self, rule: Rule) -> None:
        """Fill in a rule as it is stored."""
        condition = Condition.unpack(rule.condition)
        for name in ("name", "action", "reply_zh", "reply_en", "tag", "faq_first", "enabled"):
            self[name].data = getattr(rule, name)
        self.intent.data = condition.intent
        self.keywords.data = "\n".join(condition.keywords)
        self.every_keyword.data = "1" if condition.every_keyword else ""
        self.unless.data = "\n".join(condition.unless)
        self.pattern.data = condition.pattern
        if condition.schedule:
            self.hours.data = "outside" if condition.schedule.outside else "during"
            for number, window in enumerate(condition.schedule.windows[:2], start=1):
                self[f"days_{number}"].data = sorted(window.days)
                self[f"start_{number}"].data = f"{window.start:%H:%M}"
                self[f"end_{number}"].data = f"{window.end:%H:%M}"
        self.seen.data = stamp(rule)

    def validate_name(self, field: Any) -> None:
        """Operators find a rule again by its name."""
        if self.shipped:
            return
        if not field.data:
            raise ValidationError(_("Give the rule a name."))
        _refuse_long(field.data, MAX_NAME_CHARS)

    def validate_intent(self, _field: Any) -> None:
        """A condition must ask for something, or every question would meet it."""
        if not self._asks_something():
            raise ValidationError(_("Fill in at least one of: what it is about, words, expression, hours."))

    def validate_keywords(self, field: Any) -> None:
        """Words that can occur."""
        _refuse_words(field.data)

    def validate_unless(self, field: Any) -> None:
        """The same."""
        _refuse_words(field.data)

    def validate_pattern(self, field: Any) -> None:
        """Compile it, and say what is wrong and where."""
        _refuse_long(field.data, patterns.MAX_CHARS)
        if not field.data:
            return
        try:
            patterns.compile_pattern(field.data)
        except patterns.BadPattern as error:
            where = _(" (character %(number)d)", number=error.position) if error.position else ""
            raise ValidationError(_("This expression is wrong: %(why)s", why=str(error)) + where) from None

    def validate_hours(self, field: Any) -> None:
        """Two times for each set of days that is used."""
        if field.data and not any(self._used_windows()):
            raise ValidationError(_("Write from when until when."))
        for number in self._used_windows() if field.data else ():
            if not self[f"days_{number}"].data:
                raise ValidationError(_("Choose at least one day."))
            if _time(self[f"start_{number}"].data) is None or _time(self[f"end_{number}"].data) is None:
                raise ValidationError(_("Write both times, as in 09:30."))

    def validate_reply_zh(self, field: Any) -> None:
        """A reply must say something, and fill in only what can be filled in."""
        if self.action.data == "reply" and not self.shipped and not (field.data or self.reply_en.data):
            raise ValidationError(_("Write the reply, in at least one language."))
        _refuse_reply(field.data)

    def validate_reply_en(self, field: Any) -> None:
        """The same."""
        _refuse_reply(field.data)

    def validate_tag(self, field: Any) -> None:
        """A tag is a short word."""
        if self.action.data == "tag" and not field.data:
            raise ValidationError(_("Write the tag."))
        _refuse_long(field.data, MAX_TAG_CHARS)

    def _condition(self) -> Condition:
        return Condition(
            intent=self.shipped or self.intent.data,
            keywords=_lines(self.keywords.data),
            every_keyword=bool(self.every_keyword.data),
            unless=_lines(self.unless.data),
            pattern=self.pattern.data,
            schedule=self._schedule(),
        )

    def _schedule(self) -> Schedule | None:
        if not self.hours.data:
            return None
        windows = (
            Window(
                frozenset(self[f"days_{number}"].data),
                _time(self[f"start_{number}"].data) or time.min,
                _time(self[f"end_{number}"].data) or time.min,
            )
            for number in self._used_windows()
        )
        return Schedule(tuple(windows), outside=self.hours.data == "outside")

    def _used_windows(self) -> Iterator[int]:
        return (number for number in (1, 2) if self[f"start_{number}"].data or self[f"end_{number}"].data)

    def _asks_something(self) -> bool:
        fields = (self.shipped, self.intent.data, self.keywords.data, self.pattern.data, self.hours.data)
        return any(fields)


def _lines(text: str) -> tuple[str, ...]:
    lines = (line.strip() for line in text.split("\n"))
    return tuple(line for line in dict.fromkeys(lines) if line)


def _time(text: str) -> time | None:
    try:
        return time.fromisoformat(text).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        return None


def _refuse_long(text: str, most: int) -> None:
    if len(text) > most:
        raise ValidationError(_("%(count)d characters are too many; at most %(most)d fit.", count=len(text), most=most))
    if has_controls(text, allowed="\n\t"):
        raise ValidationError(_("Control characters cannot be saved. Type the text instead of pasting it."))


def _refuse_words(text: str) -> None:
    words = _lines(text)
    if len(words) > MAX_WORDS:
        raise ValidationError(_("These are %(count)d lines; at most %(most)d fit.", count=len(words), most=MAX_WORDS))
    for number, word in enumerate(words, start=1):
        try:
            _refuse_long(word, MAX_WORD_CHARS)
        except ValidationError as error:
            raise ValidationError(_("Line %(number)d: %(problem)s", number=number, problem=error)) from None
        if not spelling(word):
            problem = _("It needs at least one letter, digit or Chinese character.")
            raise ValidationError(_("Line %(number)d: %(problem)s", number=number, problem=problem))


def _refuse_reply(text: str) -> None:
    _refuse_long(text, MAX_REPLY_CHARS)
    if (unknown := unknown_placeholder(text)) is not None:
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValidationError(
            _("{%(name)s} cannot be filled in. What can: %(known)s.", name=unknown[:MAX_WORD_CHARS], known=known)
        )
