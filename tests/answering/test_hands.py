"""Taking a conversation while the model writes."""

import threading
from datetime import UTC, datetime, timedelta

from support.backends import DEADLINE
from support.visitor import wait_until

from webchat.answering.pipeline import Asker
from webchat.storage import messages, operators


def test_an_answer_under_way_ends_when_an_operator_takes_the_conversation(answerer, database, backend, conversation):
    backend.gate.hold()
    turn = answerer.answer(conversation, "随便写点什么", "question-1", Asker("alice", "here"))
    (run,) = answerer.feeds.runs(conversation.public_id).values()
    with database.write() as session:
        lin = operators.add(session, "lin", "hash")
    taking = threading.Thread(target=answerer.take, args=(conversation, lin))
    taking.start()
    wait_until(lambda: run.stop_wanted)
    backend.gate.open()
    taking.join(DEADLINE)
    with database.read() as session:
        answer = messages.get(session, conversation.id, turn.answer.id)
        assert answer.status == "stopped"
        assert not messages.unfinished(session, conversation.id)
        assert messages.everything(session, conversation.id)[-1].reason == "hands: taken"
    assert answerer.answer(conversation, "再写点什么", "question-2", Asker("alice", "here")).answer is None


def test_an_answer_that_another_process_writes_ends_too(answerer, database, conversation):
    with database.write() as session:
        lin = operators.add(session, "lin", "hash")
        question = messages.add_question(session, conversation.id, "问", "question-1")
        answer = messages.add_answer(
            session,
            conversation_id=conversation.id,
            question_id=question.id,
            source="model",
            status="streaming",
            text="写到",
            owner="another",
            lease_until=datetime.now(UTC) + timedelta(seconds=60),
        )
    answerer.take(conversation, lin)
    with database.write() as session:
        stored = messages.get(session, conversation.id, answer.id)
        assert (stored.status, stored.text) == ("stopped", "写到")
        assert not messages.save_partial(session, answer.id, "another", "写到一半"), "its process finds it gone"
