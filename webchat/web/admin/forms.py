"""The operators' forms: what they hold, and a helpful sentence for each thing that cannot be saved."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, PasswordField, RadioField, StringField, TextAreaField
from wtforms.validators import ValidationError
from wtforms.widgets import HiddenInput

from webchat.accounts import MAX_CHARS, MAX_NAME_CHARS, MIN_CHARS, long_enough, operator_name
from webchat.answering.normalise import normalise
from webchat.answering.rules.hours import BadHours, read_hours
from webchat.storage.answer_policy import AnswerPolicy, Mode
from webchat.web.admin.entries import MAX_QUESTIONS, Draft, stamp
from webchat.web.i18n import local_time
from webchat.web.services import services

if TYPE_CHECKING:
    from webchat.storage.tables import Entry

MAX_GROUP_CHARS = 40
_LOOKED_AT = 200  # characters of a one-line field; more is refused for its length anyway
MAX_PHRASING_CHARS = 200
MAX_ANSWER_CHARS = 10_000
MAX_BANNED_WORDS = 500
MAX_BANNED_CHARS = 50
MAX_CONTACT_CHARS = 200
MAX_HOURS = 40
_YEARS = range(2000, 3000)  # browsers send 0026 for a year typed as 26: an entry that never answers, unseen


_CONTROLS = ("Cc", "Zl", "Zp")
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def has_controls(text: str, allowed: str = "") -> bool:
    """Whether a text holds control characters: nobody types them, and a NUL cannot be stored.

    Nor may a text turn the direction of what stands behind it, or hold ends of lines of another kind.
    """
    return any((unicodedata.category(char) in _CONTROLS or char in _TURNING) and char not in allowed for char in text)


def _one_spelling(text: str | None) -> str | None:
    # Cut first: normalising is quadratic in a run of accents, and everyone may post this form.
    return unicodedata.normalize("NFKC", text[:_LOOKED_AT]).strip() if text else text


def _one_line_end(text: str | None) -> str | None:
    return text.replace("\r\n", "\n").replace("\r", "\n") if text else text


class SignInForm(FlaskForm):  # type: ignore[misc]  # flask-wtf has no types
    """A name and a password; a wrong one is said about both."""

    name = StringField(filters=[_one_spelling])
    password = PasswordField()
    next = HiddenField()


class SetUpForm(FlaskForm):  # type: ignore[misc]  # flask-wtf has no types
    """The first operator chooses a name, and a password twice."""

    token = HiddenField()
    name = StringField(filters=[_one_spelling])
    password = PasswordField()
    repeated = PasswordField()

    def validate_name(self, field: Any) -> None:
        """Refuse a name that cannot be shown."""
        if not field.data:
            raise ValidationError(_("Choose a name to sign in with."))
        try:
            field.data = operator_name(field.data)
        except ValueError:
            raise ValidationError(_("Use at most %(most)d ordinary characters.", most=MAX_NAME_CHARS)) from None

    def validate_password(self, field: Any) -> None:
        """Refuse a password that is too short, or too long to hash."""
        if not long_enough(field.data or ""):
            raise ValidationError(_("Use %(least)d to %(most)d characters.", least=MIN_CHARS, most=MAX_CHARS))

    def validate_repeated(self, field: Any) -> None:
        """Catch a slip of the finger."""
        if field.data != self.password.data:
            raise ValidationError(_("The two passwords differ. Type the same one twice."))


class EntryForm(FlaskForm):  # type: ignore[misc]  # flask-wtf has no types
    """An entry: its questions one per line, group, answer, dates. ``seen`` is the stamp it was made from."""

    phrasings = TextAreaField(filters=[_one_line_end])
    group = StringField(filters=[_one_spelling])
    answer = TextAreaField(filters=[_one_line_end])
    negatives = TextAreaField(filters=[_one_line_end])
    must_hit = TextAreaField(filters=[_one_line_end])
    must_not_hit = TextAreaField(filters=[_one_line_end])
    valid_from = StringField(filters=[_one_spelling])
    valid_until = StringField(filters=[_one_spelling])
    seen = HiddenField()

    @property
    def has_more(self) -> bool:
        """Whether anything is written where few look."""
        return any(field.data or field.errors for field in (*self._more_questions(), self.valid_from, self.valid_until))

    def draft(self, stored: Entry | None = None) -> Draft:
        """What the form says, cleaned; what was not sent, as from a page of an older version, is as it is stored."""
        before = EntryForm(formdata=None)
        if stored is not None:
            before.show(stored)
        for name in ("negatives", "must_hit", "must_not_hit", "valid_from", "valid_until"):
            if not self[name].raw_data:
                self[name].data = before[name].data
        return Draft(
            phrasings=tuple(_lines(self.phrasings)),
            answer=(self.answer.data or "").strip("\n").rstrip(),  # spaces before the first line mean code
            group_name=self.group.data or "",
            negatives=tuple(_lines(self.negatives)),
            must_hit=tuple(_lines(self.must_hit)),
            must_not_hit=tuple(_lines(self.must_not_hit)),
            valid_from=_moment_or(self.valid_from.data, stored.valid_from if stored else None),
            valid_until=_moment_or(self.valid_until.data, stored.valid_until if stored else None),
        )

    def show(self, entry: Entry) -> None:
        """Fill in an entry as it is stored."""
        self.phrasings.data = "\n".join(phrasing.text for phrasing in entry.phrasings)
        self.group.data = entry.group_name
        self.answer.data = entry.answer
        self.negatives.data = "\n".join(negative.text for negative in entry.negatives)
        self.must_hit.data = "\n".join(case.text for case in entry.cases if case.must_hit)
        self.must_not_hit.data = "\n".join(case.text for case in entry.cases if not case.must_hit)
        self.valid_from.data = _typed(entry.valid_from)
        self.valid_until.data = _typed(entry.valid_until)
        self.seen.data = stamp(entry)

    def validate_phrasings(self, _field: Any) -> None:
        """Each phrasing must be something a visitor can type and the matcher can compare."""
        if not _lines(self.phrasings):
            raise ValidationError(_("Write at least one question, as a visitor would type it."))
        _require_questions(self.phrasings)

    def validate_negatives(self, field: Any) -> None:
        """What the entry must not answer cannot be what it is asked by."""
        _require_questions(field)
        asked = {normalise(line) for line in _lines(self.phrasings)}
        for number, line in enumerate(_lines(field), start=1):
            if normalise(line) in asked:
                problem = _("It stands above as well, among the questions that get this answer.")
                raise ValidationError(_("Question %(number)d: %(problem)s", number=number, problem=problem))

    def validate_must_hit(self, field: Any) -> None:
        """Questions, as above."""
        _require_questions(field)

    def validate_must_not_hit(self, field: Any) -> None:
        """A question cannot be in both lists."""
        _require_questions(field)
        wanted = {normalise(line) for line in _lines(self.must_hit)}
        for number, line in enumerate(_lines(field), start=1):
            if normalise(line) in wanted:
                problem = _("It stands above as well, among the questions that must get this answer.")
                raise ValidationError(_("Question %(number)d: %(problem)s", number=number, problem=problem))

    def validate_valid_from(self, field: Any) -> None:
        """A time of the shop's clock."""
        _require_moment(field)

    def validate_valid_until(self, field: Any) -> None:
        """A time of the shop's clock, after the other one."""
        _require_moment(field)
        start, end = _moment(self.valid_from.data), _moment(field.data)
        if start and end and end <= start:
            raise ValidationError(_("The end must come after the beginning."))

    def validate_group(self, field: Any) -> None:
        """A group is a short label."""
        if len(field.data or "") > MAX_GROUP_CHARS:
            raise ValidationError(_("Use at most %(most)d characters.", most=MAX_GROUP_CHARS))
        if has_controls(field.data or ""):
            raise ValidationError(_("Control characters cannot be saved. Type the text instead of pasting it."))

    def validate_answer(self, _field: Any) -> None:
        """An answer must say something."""
        answer = self.draft().answer
        if not answer.strip():
            raise ValidationError(_("Write the answer."))
        if len(answer) > MAX_ANSWER_CHARS:
            raise ValidationError(
                _(
                    "The answer has %(count)d characters; at most %(most)d fit.",
                    count=len(answer),
                    most=MAX_ANSWER_CHARS,
                )
            )
        if has_controls(answer, allowed="\n\t"):
            raise ValidationError(_("Control characters cannot be saved. Type the text instead of pasting it."))

    def _more_questions(self) -> tuple[Any, Any, Any]:
        return self.negatives, self.must_hit, self.must_not_hit


class AnswerPolicyForm(FlaskForm):  # type: ignore[misc]  # flask-wtf has no types
    """Who may answer what. ``seen`` counts the changes before the one that is being made."""

    mode = RadioField(choices=get_args(Mode))
    banned = TextAreaField(filters=[_one_line_end])
    contact_zh = StringField(filters=[_one_spelling])
    contact_en = StringField(filters=[_one_spelling])
    hours = TextAreaField(filters=[_one_line_end])
    seen = IntegerField(widget=HiddenInput())

    def show(self, policy: AnswerPolicy) -> None:
        """Fill in the policy as it is stored."""
        self.mode.data = policy.mode
        self.banned.data = "\n".join(policy.banned)
        self.contact_zh.data = policy.contact_zh
        self.contact_en.data = policy.contact_en
        self.hours.data = "\n".join(policy.hours)
        self.seen.data = policy.changes

    def policy(self) -> AnswerPolicy:
        """What the form says, cleaned."""
        return AnswerPolicy(
            mode=self.mode.data,
            banned=tuple(self._words()),
            contact_zh=self.contact_zh.data or "",
            contact_en=self.contact_en.data or "",
            hours=tuple(_lines(self.hours)),
            changes=self.seen.data or 0,
        )

    def validate_banned(self, _field: Any) -> None:
        """A word must be one that can be found in an answer."""
        words = self._words()
        if len(words) > MAX_BANNED_WORDS:
            raise ValidationError(
                _("These are %(count)d words; at most %(most)d fit.", count=len(words), most=MAX_BANNED_WORDS)
            )
        for number, word in enumerate(words, start=1):
            if problem := _problem_with_word(word):
                raise ValidationError(_("Word %(number)d: %(problem)s", number=number, problem=problem))

    def validate_contact_zh(self, field: Any) -> None:
        """One sentence, in plain text."""
        _require_a_sentence(field.data or "")

    def validate_contact_en(self, field: Any) -> None:
        """One sentence, in plain text."""
        _require_a_sentence(field.data or "")

    def validate_hours(self, field: Any) -> None:
        """Lines that can be read."""
        lines = _lines(field)
        if len(lines) > MAX_HOURS:
            raise ValidationError(_("At most %(most)d lines fit.", most=MAX_HOURS))
        try:
            read_hours(lines)
        except BadHours as bad:
            raise ValidationError(
                _(
                    "Line %(number)d cannot be read. Write it as in “Mon-Fri 9:00-18:00” or “closed 2026-10-01”.",
                    number=bad.line,
                )
            ) from None

    def _words(self) -> list[str]:
        return _lines(self.banned)


def _lines(field: Any) -> list[str]:
    """What stands in a field, one on each line, each once."""
    lines = (line.strip() for line in (field.data or "").split("\n"))
    return [line for line in dict.fromkeys(lines) if line]


def _moment(typed: str | None) -> datetime | None:
    """A time of the shop's clock, as browsers and people write it; None when it is none."""
    try:
        moment = datetime.fromisoformat(typed or "")
        zone = ZoneInfo(services().settings.timezone)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year in _YEARS else None


def _moment_or(typed: str | None, stored: datetime | None) -> datetime | None:
    """The moment that was typed, or the stored one to its second when the field still shows that."""
    return stored if typed == _typed(stored) else _moment(typed)


def _typed(moment: datetime | None) -> str:
    return local_time(moment).strftime("%Y-%m-%dT%H:%M") if moment else ""


def _require_moment(field: Any) -> None:
    if field.data and _moment(field.data) is None:
        raise ValidationError(_("Write the time as in 2026-12-31 23:30, or leave it empty."))


def _require_questions(field: Any) -> None:
    lines = _lines(field)
    if len(lines) > MAX_QUESTIONS:
        raise ValidationError(
            _("These are %(count)d questions; at most %(most)d fit.", count=len(lines), most=MAX_QUESTIONS)
        )
    for number, line in enumerate(lines, start=1):
        if problem := _problem_with(line):
            raise ValidationError(_("Question %(number)d: %(problem)s", number=number, problem=problem))


def _problem_with_word(word: str) -> str | None:
    if has_controls(word):
        return _("Control characters cannot be saved. Type the text instead of pasting it.")
    if len(word) > MAX_BANNED_CHARS:
        return _("%(count)d characters are too many; at most %(most)d fit.", count=len(word), most=MAX_BANNED_CHARS)
    if not normalise(word):
        return _("It needs at least one letter, digit or Chinese character.")
    return None


def _require_a_sentence(text: str) -> None:
    if len(text) >= MAX_CONTACT_CHARS:
        raise ValidationError(_("Use at most %(most)d characters.", most=MAX_CONTACT_CHARS - 1))
    if has_controls(text):
        raise ValidationError(_("Control characters cannot be saved. Type the text instead of pasting it."))


def _problem_with(phrasing: str) -> str | None:
    if has_controls(phrasing):
        return _("Control characters cannot be saved. Type the text instead of pasting it.")
    if len(phrasing) > MAX_PHRASING_CHARS:
        return _(
            "%(count)d characters are too many; at most %(most)d fit.",
            count=len(phrasing),
            most=MAX_PHRASING_CHARS,
        )
    if not normalise(phrasing):
        return _("It needs at least one letter, digit or Chinese character.")
    return None
