"""The simulated Coze satisfies the real cozepy: what passes here is what PODI's own code was tried against."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cozepy import (
    ChatEventType,
    ChatStatus,
    Coze,
    CozeAPIError,
    Message,
    TokenAuth,
    ToolOutput,
    WorkflowEventType,
    WorkflowExecuteStatus,
)

from tests.simulators.coze import TOKEN, CozeSimulator
from tests.simulators.coze_chats import Call, Round

BOT = "7380000000000000001"
QUESTION = Message.build_user_question_text("放大")


@pytest.fixture
def simulator() -> Iterator[CozeSimulator]:
    with CozeSimulator() as found:
        yield found


@pytest.fixture
def coze(simulator: CozeSimulator) -> Coze:
    return Coze(auth=TokenAuth(TOKEN), base_url=simulator.url)


def test_runs_a_workflow_three_ways(simulator: CozeSimulator, coze: Coze) -> None:
    done = coze.workflows.runs.create(workflow_id="7", parameters={"a": 1})
    assert json.loads(done.data or "")["image"].startswith(simulator.url)
    assert done.debug_url
    started = coze.workflows.runs.create(workflow_id="7", is_async=True)
    entry = coze.workflows.runs.run_histories.retrieve(workflow_id="7", execute_id=started.execute_id or "")
    assert entry.execute_status == WorkflowExecuteStatus.SUCCESS
    assert "image" in entry.output
    events = list(coze.workflows.runs.stream(workflow_id="7"))
    assert [event.event for event in events] == [WorkflowEventType.MESSAGE] * 2


def test_tells_errors_as_cozepy_reads_them(simulator: CozeSimulator, coze: Coze) -> None:
    simulator.runs.add("7", error="too dark")
    with pytest.raises(CozeAPIError, match="too dark"):
        coze.workflows.runs.create(workflow_id="7")
    with pytest.raises(CozeAPIError) as refused:
        Coze(auth=TokenAuth("pat_wrong"), base_url=simulator.url).users.me()
    assert refused.value.code == 4100
    assert coze.users.me().user_name == "podi"


def test_a_chat_calls_a_tool_and_goes_on(simulator: CozeSimulator, coze: Coze) -> None:
    simulator.chats.script(Round(text="等", calls=(Call(name="t"),)), Round(text="好"))
    events = list(coze.chat.stream(bot_id=BOT, user_id="u", additional_messages=[QUESTION]))
    assert events[-1].event == ChatEventType.CONVERSATION_CHAT_REQUIRES_ACTION
    chat = events[-1].chat
    assert chat is not None
    assert chat.required_action is not None
    assert chat.required_action.submit_tool_outputs is not None
    (call,) = chat.required_action.submit_tool_outputs.tool_calls
    assert call.function is not None
    assert call.function.arguments == ""
    where = {"conversation_id": chat.conversation_id, "chat_id": chat.id}
    for wrong in (
        [],
        [ToolOutput(tool_call_id="x", output="{}")],
        [ToolOutput(tool_call_id=call.id, output="no json")],
    ):
        with pytest.raises(CozeAPIError):
            coze.chat.submit_tool_outputs(**where, tool_outputs=wrong, stream=False)
    with pytest.raises(CozeAPIError) as uncancellable:
        coze.chat.cancel(**where)
    assert uncancellable.value.code == 4104
    with pytest.raises(CozeAPIError) as taken:
        list(
            coze.chat.stream(
                bot_id=BOT, user_id="u", conversation_id=chat.conversation_id, additional_messages=[QUESTION]
            )
        )
    assert taken.value.code == 4016
    outputs = [ToolOutput(tool_call_id=call.id, output="{}")]
    rest = list(coze.chat.submit_tool_outputs(**where, tool_outputs=outputs, stream=True))  # type: ignore[call-overload,arg-type]
    assert rest[-1].event == ChatEventType.CONVERSATION_CHAT_COMPLETED
    assert coze.chat.retrieve(**where).status == ChatStatus.COMPLETED
    assert [m.content for m in coze.chat.messages.list(**where) if m.type == "answer"] == ["等", "好"]


def test_history_must_be_saved_for_local_tools(simulator: CozeSimulator, coze: Coze) -> None:
    simulator.chats.script(Round(calls=(Call(name="t", id="c1"),)), Round())
    *_events, last = coze.chat.stream(bot_id=BOT, user_id="u", additional_messages=[QUESTION], auto_save_history=False)
    assert last.chat is not None
    with pytest.raises(CozeAPIError) as refused:
        coze.chat.submit_tool_outputs(
            conversation_id=last.chat.conversation_id,
            chat_id=last.chat.id,
            tool_outputs=[ToolOutput(tool_call_id="c1", output="{}")],
            stream=False,
        )
    assert refused.value.code == 5000


def test_takes_files(simulator: CozeSimulator, coze: Coze) -> None:
    file = coze.files.upload(file=("a.png", b"bytes"))
    assert simulator.files.uploads[file.id] == ("a.png", b"bytes")
    assert coze.files.retrieve(file_id=file.id).file_name == "a.png"
