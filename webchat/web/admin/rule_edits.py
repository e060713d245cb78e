"""What operators do to rules. Every change leaves an audit record, in the transaction that makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webchat.answering.rules.shipped import SHIPPED
from webchat.storage import audit, rules, settings
from webchat.web.admin.entries import Outdated

if TYPE_CHECKING:
    from webchat.storage.database import Session
    from webchat.storage.tables import Operator, Rule

MAX_RULES = 200
_CONTENT = ("name", "enabled", "condition", "action", "reply_zh", "reply_en", "tag", "faq_first")


class TooMany(Exception):  # noqa: N818 - a state, named as callers say it
    """There are as many rules as there may be."""


def stamp(rule: Rule) -> str:
    """The version of a rule, as a form carries it. Its place in the order is no part of it."""
    return rule.updated_at.isoformat()


def add(session: Session, operator: Operator, content: dict[str, Any]) -> Rule:
    """Add a rule in front of all others, those that come with the site among them.

    Raises:
        TooMany: there is no room for it.
    """
    rule = rules.add(session, content)
    if rules.count(session) > MAX_RULES:
        raise TooMany
    audit.record(session, operator.name, "rule.add", _subject(rule), content=_content(rule))
    return rule


def edit(session: Session, operator: Operator, rule_id: int, content: dict[str, Any], *, seen: str) -> Rule:
    """Replace what a rule says, if it still is as the operator has ``seen`` it.

    Raises:
        Outdated: it is not, or it is gone.
    """
    rule = rules.locked(session, rule_id)
    if rule is None or stamp(rule) != seen:
        raise Outdated
    before = _content(rule)
    rules.update_content(session, rule, content)
    audit.record(session, operator.name, "rule.edit", _subject(rule), before=before)
    return rule


def put_back(session: Session, operator: Operator, rule_id: int) -> Rule | None:
    """Make a rule that came with the site what it was then, but for its place; None when it is no such rule."""
    rule = rules.locked(session, rule_id)
    shipped = rule and SHIPPED.get(rule.shipped or "")
    if rule is None or shipped is None:
        return None
    before = _content(rule)
    rules.update_content(session, rule, as_shipped(rule.shipped or ""))
    audit.record(session, operator.name, "rule.put_back", _subject(rule), before=before)
    return rule


def switch(session: Session, operator: Operator, rule_id: int, *, enabled: bool) -> Rule | None:
    """Switch a rule on or off; None when there is no such rule."""
    rule = rules.locked(session, rule_id)
    if rule is None or rule.enabled == enabled:
        return rule
    rules.switch(session, rule, enabled=enabled)
    audit.record(session, operator.name, "rule.on" if enabled else "rule.off", _subject(rule))
    return rule


def move(session: Session, operator: Operator, rule_id: int, steps: int) -> Rule | None:
    """Move a rule down, or up when ``steps`` is negative; None when there is no such rule."""
    rule = rules.locked(session, rule_id)
    if rule is not None:
        rules.move(session, rule, steps)
        audit.record(session, operator.name, "rule.move", _subject(rule), steps=steps)
    return rule


def delete(session: Session, operator: Operator, rule_id: int) -> Rule | None:
    """Delete a rule so that this operator can undo it; None when it is gone, or came with the site."""
    rule = rules.locked(session, rule_id)
    if rule is None or rule.shipped:
        return None
    place = [other.id for other in rules.in_order(session)].index(rule.id)
    settings.put(session, _undo_key(operator), {"place": place, "content": _content(rule)})
    audit.record(session, operator.name, "rule.delete", _subject(rule), before=_content(rule))
    rules.remove(session, rule)
    return rule


def deleted_name(session: Session, operator: Operator) -> str | None:
    """The name of the rule that this operator can bring back."""
    kept = settings.get(session, _undo_key(operator))
    return kept and str(kept["content"]["name"])


def restore(session: Session, operator: Operator) -> Rule | None:
    """Bring back the rule that this operator deleted last, to its place; a second time brings nothing.

    Raises:
        TooMany: there is no room for it; it can still be brought back.
    """
    kept = settings.get(session, _undo_key(operator))
    if not settings.remove(session, _undo_key(operator)):
        return None
    rule = rules.add(session, kept["content"], before=kept["place"])
    if rules.count(session) > MAX_RULES:
        raise TooMany
    audit.record(session, operator.name, "rule.restore", _subject(rule))
    return rule


def as_shipped(name: str) -> dict[str, Any]:
    """What a rule of our own holds as it comes."""
    return {
        "enabled": True,
        "condition": {"intent": name},
        "action": SHIPPED[name].action,
        "reply_zh": "",
        "reply_en": "",
        "tag": "",
        "faq_first": True,
    }


def _undo_key(operator: Operator) -> str:
    return f"deleted_rule_{operator.id}"


def _content(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in _CONTENT}


def _subject(rule: Rule) -> str:
    return f"rule {rule.id}"
