"""From rows and runs to HTML: what a message looks like, and the frames that update a page.

The page includes the very templates that the frames carry, so first paint and update cannot drift.
A frame is one ``<hx-partial>`` with its own target; one whose target is not on the page changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import render_template
from flask_babel import force_locale, ngettext
from flask_babel import gettext as _
from markupsafe import Markup, escape

from webchat.answering import hands
from webchat.answering.choosing import CHOSEN
from webchat.answering.following import failure_of
from webchat.answering.normalise import language_of
from webchat.storage.tables import RETRYABLE, UNFINISHED
from webchat.web.i18n import LOCALE_OF, language, local_time
from webchat.web.markdown import render_markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from webchat.answering.events import Failure, Queued
    from webchat.answering.feed import Run
    from webchat.storage.tables import Conversation, Feedback, Message, Reason


@dataclass(frozen=True, slots=True)
class SuggestionView:
    """A suggested question, and whether the visitor has chosen it."""

    entry: int
    question: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message as its template needs it.

    Attributes:
        html: the text rendered; None while it still grows.
        can_be_edited: as long as nothing was asked after it; the page hides the button then, and the server refuses.
        can_go_again: likewise.
        go_on: how to ask for the rest of an answer that ended at its limit; None for any other.
        suggestions: what the question may have meant. An official answer has its next best, shown when it was not
            what was asked.
        matched: the shop's question that was answered, where the visitor's was another; None for any other.
        replaced: another message has come in its place.
        handed: it tells that somebody else answers from now on.
        can_ask_assistant: and that it is an operator, who still does.
        asks_how_it_was: and that it was an operator until now; the vote on it is about them.
        to_person: it sends the visitor to a person, so the way there stands under it.
        day: in the shop's zone.
        vote: what the visitor thinks of this answer, if they have said so.
    """

    id: int
    role: str
    text: str
    html: Markup | None
    status: str
    source: str | None
    source_label: str | None
    model: str | None
    time: str
    datetime: str
    queue_note: Markup | None
    failure: str | None
    go_on: str | None
    can_retry: bool
    can_stop: bool
    can_be_edited: bool
    can_go_again: bool
    can_vote: bool
    suggestions: tuple[SuggestionView, ...]
    matched: str | None
    chosen: bool
    vote: Feedback | None
    replaced: bool
    handed: bool
    can_ask_assistant: bool
    asks_how_it_was: bool
    to_person: bool
    day: date


def views_of(
    thread: Iterable[Message], runs: Mapping[int, Run | None], votes: Mapping[int, Feedback]
) -> list[MessageView]:
    """Messages as they stand now, with the runs that make them and the votes on them by message id."""
    return [view_of(message, runs.get(message.id), votes.get(message.id)) for message in thread]


def view_of(message: Message, run: Run | None = None, vote: Feedback | None = None) -> MessageView:
    """A message as it stands now: the row, the live text of the run that makes it, the visitor's vote on it."""
    unfinished = message.status in UNFINISHED
    answer = message.role != "visitor"
    change = hands.change_of(message)
    text = hands.sentence(change, language()) if change else run.text if run else message.text
    return MessageView(
        id=message.id,
        role=message.role,
        text=text,
        html=render_markdown(text) if answer and not unfinished and text else None,
        status=message.status,
        source=message.source,
        source_label=source_label(message.source),
        model=message.model if message.source == "model" else None,
        time=local_time(message.created_at).strftime("%H:%M"),
        datetime=message.created_at.isoformat(timespec="seconds"),
        queue_note=queue_note(run.queued) if run and run.queued and not text else None,
        failure=failure_sentence(failure_of(message)) if message.status in ("failed", "interrupted") else None,
        go_on=_asking_for_the_rest(text) if message.finish_reason == "length" else None,
        can_retry=answer and message.status in RETRYABLE,
        can_stop=unfinished,
        can_be_edited=not answer and message.reason is None,  # typed here, and not chosen or left with a request
        can_go_again=answer and message.source == "model" and message.status == "done",
        # Not where Stop was pressed: its second click would be a vote.
        can_vote=answer and message.status == "done" and change is None,
        suggestions=_suggestions(message, vote),
        matched=_matched(message),
        chosen=message.role == "visitor" and message.reason == CHOSEN,
        vote=vote,
        replaced=message.replaced_by is not None,
        handed=change is not None,
        can_ask_assistant=change == "hands: taken",
        asks_how_it_was=change in hands.ENDS,
        to_person=(message.reason or "").startswith("handoff: "),
        day=local_time(message.created_at).date(),
    )


def _suggestions(message: Message, vote: Feedback | None) -> tuple[SuggestionView, ...]:
    if message.source == "faq" and (vote is None or vote.reason != "off_topic"):
        return ()
    suggested = message.suggested or ()
    return tuple(SuggestionView(each["entry"], each["question"], "chosen" in each) for each in suggested)


def _matched(message: Message) -> str | None:
    matched = message.matched or {}
    return matched.get("question") if matched.get("how") not in (None, "exact", CHOSEN) else None


def vote_reasons() -> dict[Reason, str]:
    """What can be wrong with an answer, as visitors read it."""
    return {
        "off_topic": _("Not what I asked"),
        "wrong": _("Wrong or out of date"),
        "unclear": _("Not clear"),
        "other": _("Something else"),
    }


def _asking_for_the_rest(text: str) -> str:
    """In the language of the answer, so that the model does not change it in the middle of a text."""
    with force_locale(LOCALE_OF[language_of(text) or language()]):
        return _("Please continue.")


def source_label(source: str | None) -> str | None:
    """The badge that says where an answer came from."""
    labels = {
        "faq": _("Official answer"),
        "rule": _("Automatic reply"),
        "model": _("AI generated"),
        "human": _("Staff"),
    }
    return labels.get(source or "")


def queue_note(queued: Queued) -> Markup | None:
    """A sentence about the queue; None when it is this one's turn next."""
    if not queued.position:
        return None
    people = ngettext("%(num)d person is ahead of you", "%(num)d people are ahead of you", queued.position)
    # By itself, so that the page can count it down.
    seconds = Markup('<span class="eta">{}</span>').format(max(1, round(queued.eta_seconds)))
    return escape(_("%(people)s, about %(seconds)s seconds")) % {"people": people, "seconds": seconds}


def failure_sentence(failure: Failure) -> str:
    """What a visitor is told when there is no complete answer."""
    sentences: dict[Failure, str] = {
        "busy": _("Many people are asking right now. Please try again in a moment."),
        "no_model": _("AI answers are not available at the moment. Common questions are still answered."),
        "too_long": _("This question is too long for the AI. Please ask in fewer words."),
        "interrupted": _("The answer was interrupted."),
        "engine_error": _("The answer could not be written."),
        "not_stored": _("The answer could not be saved."),
    }
    return sentences[failure]


def thread_frame(conversation: Conversation, views: Sequence[MessageView]) -> str:
    """The whole thread as it stands."""
    html = render_template("chat/_thread.html", conversation=conversation, messages=views)
    return _partial("#thread", "outerMorph", html)


def gone_frames() -> list[str]:
    """In place of a conversation that was deleted in another tab: that it was, and nothing of it."""
    nothing = render_template("chat/_thread.html", conversation=None, messages=[])
    return [_partial("#thread", "outerHTML", nothing), notice(_("This conversation was deleted."))]


def append_frame(conversation: Conversation, after: int, views: Sequence[MessageView], day_before: date | None) -> str:
    """New messages behind message ``after`` (0: at the beginning), which was written on ``day_before``."""
    html = render_template("chat/_turn.html", conversation=conversation, messages=views, day_before=day_before)
    return _partial(f"#tail-{after}", "outerHTML", html)


def message_frame(conversation: Conversation, view: MessageView) -> str:
    """A message that is on the page already, as it is now."""
    html = render_template("chat/_message.html", conversation=conversation, message=view)
    # Morphed, so that who is at one of its buttons with the keyboard stays there.
    return _partial(f"#m-{view.id}", "outerMorph", html)


def stopping_frame(conversation: Conversation, message_id: int) -> str:
    """The word in place of the Stop button, until the answer has ended."""
    html = render_template("chat/_stop.html", conversation=conversation, message={"id": message_id}, stopping=True)
    return _partial(f"#m-{message_id}-stop", "outerHTML", html)


def text_frame(message_id: int, text: str) -> str:
    """The next piece of an answer's text."""
    return _partial(f"#m-{message_id}-text", "beforeend", escape(text))


def typing_frame(*, typing: bool) -> str:
    """Whether staff are typing, behind the last message."""
    return _partial("#typing", "outerHTML", render_template("chat/_typing.html", typing=typing))


def notice(sentence: str, suggested: Sequence[str] = (), public_id: str = "new") -> str:
    """A sentence above the question box, with questions to ask instead; an empty one clears it."""
    html = render_template("chat/_notice.html", notice=sentence, suggested=suggested, public_id=public_id)
    return _partial("#notice", "innerHTML", html)


def socket_frame(partials: Iterable[str]) -> str:
    """Partials as one WebSocket message. Always JSON: htmx drops a bare text that happens to be JSON."""
    return json.dumps({"content": "".join(partials)}, ensure_ascii=False)


def _partial(target: str, swap: str, html: str) -> str:
    return f'<hx-partial hx-target="{target}" hx-swap="{swap}">{html}</hx-partial>'
