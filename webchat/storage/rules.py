"""Queries about rules, and how operators change them.

Every change counts up ``version`` in its own transaction, as with the FAQ: a process that keeps the rules in memory
sees with one small read whether they are still true. A change begins with ``locked``: until it is committed there is
no other, so that the order in which rules stand is always somebody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from webchat.storage.tables import Rule, Setting, utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

_VERSION = "rules_version"  # a row of settings, there since the migration that made the table


def version(session: Session) -> int:
    """Count of the changes ever made to the rules."""
    return int(session.scalars(select(Setting.value).where(Setting.key == _VERSION)).one())


def in_order(session: Session) -> list[Rule]:
    """List all rules as they are tried, those that are switched off too."""
    return list(session.scalars(select(Rule).order_by(Rule.position, Rule.id)))


def count(session: Session) -> int:
    """Count all rules."""
    return session.scalar(select(func.count()).select_from(Rule)) or 0


def get(session: Session, rule_id: int) -> Rule | None:
    """Find a rule."""
    return session.get(Rule, rule_id)


def locked(session: Session, rule_id: int) -> Rule | None:
    """Find a rule that no other transaction changes, nor any other rule, until this one ends."""
    _counter(session)
    return session.get(Rule, rule_id, populate_existing=True)


def add(session: Session, content: dict[str, Any], *, before: int = 0) -> Rule:
    """Add a rule in front of the one that is now at place ``before``, counted from 0; beyond the last, at the end."""
    _counter(session)
    rule = Rule(**content)
    order = in_order(session)
    order.insert(before, rule)
    session.add(rule)
    _number(order)
    _changed(session)
    return rule


def update_content(session: Session, rule: Rule, content: dict[str, Any]) -> None:
    """Replace what a rule says. What was known of its speed is forgotten: it may have another pattern."""
    for name, value in content.items():
        setattr(rule, name, value)
    rule.slow_at = None
    rule.updated_at = utc_now()
    _changed(session)


def switch(session: Session, rule: Rule, *, enabled: bool) -> None:
    """Switch a rule on or off."""
    rule.enabled = enabled
    rule.updated_at = utc_now()
    _changed(session)


def move(session: Session, rule: Rule, steps: int) -> None:
    """Move a rule so many places down, or up when that is negative; at an end it stays there."""
    order = in_order(session)
    place = order.index(rule)
    order.insert(max(place + steps, 0), order.pop(place))
    _number(order)
    _changed(session)


def remove(session: Session, rule: Rule) -> None:
    """Remove a rule for good."""
    session.delete(rule)
    _changed(session)


def note_slow(session: Session, rule_ids: Sequence[int], moment: datetime) -> None:
    """Note that these rules' patterns ran out of time; what they say is unchanged, so the version is too."""
    session.execute(update(Rule).where(Rule.id.in_(rule_ids)).values(slow_at=moment))


def _number(order: Sequence[Rule]) -> None:
    for position, rule in enumerate(order):
        rule.position = position


def _changed(session: Session) -> None:
    session.flush()
    _counter(session).value += 1
    session.flush()


def _counter(session: Session) -> Setting:
    """The row that counts changes, under a lock: another change waits for this one's commit."""
    query = select(Setting).where(Setting.key == _VERSION).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()
