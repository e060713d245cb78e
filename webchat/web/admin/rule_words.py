"""What rules are called on the pages, and in words what they ask and found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext as _

from webchat.answering.rules.conditions import Condition
from webchat.answering.rules.schedule import EVERY_DAY

if TYPE_CHECKING:
    from webchat.answering.rules.conditions import Finding
    from webchat.answering.rules.schedule import Schedule, Window
    from webchat.storage.tables import Rule

_SHOWN_CHARS = 60  # of words that were found


def intents() -> dict[str, str]:
    """What a message may be about, by intent."""
    return {
        "greeting": _("Greeting"),
        "thanks": _("Thanks or good-bye"),
        "human": _("Wants a person"),
        "abuse": _("Insult"),
        "identity": _("Who the assistant is"),
        "weather": _("Weather"),
        "clock": _("Time and date"),
        "exchange": _("Exchange rates"),
        "news": _("News, markets, scores, traffic"),
    }


def actions() -> dict[str, str]:
    """What a rule does."""
    return {"reply": _("Reply"), "handoff": _("Hand over to staff"), "block": _("Block"), "tag": _("Tag")}


def days() -> list[str]:
    """The days of the week, Monday first."""
    return [_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun")]


def name_of(rule: Rule) -> str:
    """A rule's name; those that came with the site are called by what they are about."""
    return intents().get(rule.shipped or "", rule.shipped or rule.name)


def asks(rule: Rule) -> list[str]:
    """What a rule asks for, a few words each."""
    condition = Condition.unpack(rule.condition)
    parts = []
    if condition.intent and not rule.shipped:
        parts.append(intents().get(condition.intent, condition.intent))
    if condition.keywords:
        sentence = _("all of: %(words)s") if condition.every_keyword else _("any of: %(words)s")
        parts.append(sentence % {"words": _listed(condition.keywords)})
    if condition.unless:
        parts.append(_("none of: %(words)s", words=_listed(condition.unless)))
    if condition.pattern:
        parts.append(_("expression: %(pattern)s", pattern=_shortened(condition.pattern)))
    if condition.schedule:
        parts.append(_hours(condition.schedule))
    return parts


def why(finding: Finding, rule: Rule) -> str:
    """Why a part of a rule's condition held, or did not."""
    condition = Condition.unpack(rule.condition)
    intent = intents().get(condition.intent, condition.intent)
    every = condition.every_keyword
    held, failed = {
        "schedule": (_("the time fits"), _("the time does not fit")),
        "intent": (_("it is about: %(intent)s"), _("it is not about: %(intent)s")),
        "keywords": (
            _("all words occur") if every else _("“%(found)s” occurs"),
            _("“%(found)s” does not occur") if every else _("none of the words occurs"),
        ),
        "unless": (_("no word that excludes it"), _("“%(found)s” excludes it")),
        "pattern": (_("the expression finds “%(found)s”"), _("the expression finds nothing")),
    }[finding.part]
    if finding.slow:
        failed = _("the expression took too long and was skipped")
    return (held if finding.held else failed) % {"intent": intent, "found": _shortened(finding.evidence)}


def _hours(schedule: Schedule) -> str:
    windows = "; ".join(_window(window) for window in schedule.windows)
    return _("outside %(hours)s", hours=windows) if schedule.outside else windows


def _window(window: Window) -> str:
    hours = f"{window.start:%H:%M}–{window.end:%H:%M}"
    if window.days == EVERY_DAY:
        return hours
    return " ".join([*(days()[day] for day in sorted(window.days)), hours])


def _listed(words: tuple[str, ...]) -> str:
    return _shortened(", ".join(words))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
