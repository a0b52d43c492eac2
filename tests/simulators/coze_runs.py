"""Workflow runs of the simulated Coze: waited for, started, streamed; and their history."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.simulators.coze_files import picture
from tests.simulators.coze_wire import EventStream, fail, log_id, ok

if TYPE_CHECKING:
    from tests.simulators.coze import CozeSimulator

USAGE = {"token_count": 30, "input_count": 20, "output_count": 10}


@dataclass(kw_only=True)
class Workflow:
    """What a workflow does. `output` may be made from the parameters; without one it makes a picture.

    wrapping: how often the history's output is JSON inside JSON. error: every run fails with this sentence.
    interrupts: a streamed run asks a question. history_delay_s: so long the history knows nothing. is_trimmed: the
    history cuts the output. base_resp: a StatusCode beside code 0, as Studio may say. stream_end: how a stream ends.
    """

    output: Any = None
    messages: Sequence[tuple[str, str]] = ()
    wrapping: int = 1
    error: str = ""
    error_code: int = 720701013
    interrupts: bool = False
    history_delay_s: float = 0.0
    is_trimmed: bool = False
    base_resp: int = 0
    stream_end: str = "done"
    needs: Sequence[str] = ()

    def make(self, run: Run, coze: CozeSimulator) -> Any:
        if callable(self.output):
            return self.output(run.parameters)
        if self.output is not None:
            return self.output
        link = coze.files.add_result(f"{run.execute_id}.png", picture(run.execute_id))
        return {"image": link}


@dataclass(kw_only=True)
class Run:
    execute_id: str
    workflow_id: str
    workflow: Workflow
    parameters: dict[str, Any]
    ext: dict[str, Any]
    mode: int
    started_at: float = field(default_factory=time.time)
    status: str = "Running"
    error: str = ""
    output: Any = None
    log_id: str = field(default_factory=log_id)


class Runs:
    """`holds` keeps every run going until `finish` or `fail` ends it."""

    def __init__(self, coze: CozeSimulator, *, seconds_per_run: float) -> None:
        self.coze = coze
        self.seconds_per_run = seconds_per_run
        self.holds = False
        self.workflows: dict[str, Workflow] = {}
        self.accepts_any = True
        """An unknown workflow id is one that makes a picture."""
        self.by_id: dict[str, Run] = {}
        self._ids = itertools.count(7_561_000_000_000_000_001)

    def add(self, workflow_id: str, **about: Any) -> Workflow:
        found = self.workflows[workflow_id] = Workflow(**about)
        return found

    def finish(self, execute_id: str) -> None:
        run = self.by_id[execute_id]
        run.output, run.status = run.workflow.make(run, self.coze), "Success"

    def fail(self, execute_id: str, sentence: str = "Workflow node failed: picture is too dark") -> None:
        run = self.by_id[execute_id]
        run.status, run.error = "Fail", sentence

    def debug_url(self, run: Run) -> str:
        host = "https://www.coze.cn" if self.coze.flavour == "cloud" else self.coze.url
        return f"{host}/work_flow?execute_id={run.execute_id}&space_id=1&workflow_id={run.workflow_id}&execute_mode=2"

    def routes(self) -> list[web.RouteDef]:
        history = "/v1/workflows/{workflow_id}/run_histories/{execute_id}"
        if self.coze.flavour == "studio":
            histories = [web.get("/v1/workflow/get_run_history", self.history)]
        else:
            histories = [
                web.get(history, self.history),
                web.get(history + "/execute_nodes/{node_uuid}", self.node_output),
            ]
        return [web.post("/v1/workflow/run", self.run), web.post("/v1/workflow/stream_run", self.stream), *histories]

    async def run(self, request: web.Request) -> web.Response:
        started = await self._start(request, is_stream=False)
        if isinstance(started, web.Response):
            return started
        if started.mode == 2:
            return self._answer(started, data="")
        await self._until_ended(started)
        if started.status == "Fail":
            return fail(
                started.workflow.error_code,
                started.error,
                flavour=self.coze.flavour,
                debug_url=self.debug_url(started),
            )
        return self._answer(started, data=_as_text(started.output))

    async def stream(self, request: web.Request) -> web.StreamResponse:
        run = await self._start(request, is_stream=True)
        if isinstance(run, web.Response):
            return run
        stream = await EventStream(request).open()
        for title, text in run.workflow.messages:
            for number, piece in enumerate(text.split("|")):
                is_last = number == text.count("|")
                await stream.send("Message", self._message(title, number, piece, is_last=is_last), numbered=True)
        if run.workflow.interrupts:
            asked = {"interrupt_data": {"event_id": f"{run.execute_id}/1", "type": 2}, "node_title": "Question"}
            await stream.send("Interrupt", asked, numbered=True)
            return await stream.end()
        await self._until_ended(run)
        if run.status == "Fail":
            wrong = {"error_code": run.workflow.error_code, "error_message": run.error}
            await stream.send("Error", wrong, numbered=True)
            return await stream.end()
        if run.workflow.stream_end == "cut_before_end":
            return await stream.cut()
        text = _as_text(run.output)
        half = len(text) // 2
        await stream.send("Message", self._message("End", 0, text[:half], is_last=False), numbered=True)
        await stream.send("Message", self._message("End", 1, text[half:], is_last=True), numbered=True)
        if run.workflow.stream_end == "cut_after_end":
            return await stream.cut()
        if run.workflow.stream_end != "none":
            await stream.send("Done", {"debug_url": self.debug_url(run)}, numbered=True)
        return await stream.end()

    async def history(self, request: web.Request) -> web.Response:
        ids = request.match_info or request.query
        run = self.by_id.get(ids.get("execute_id", ""))
        if run is None or run.workflow_id != ids.get("workflow_id"):
            return ok([]) if self.coze.flavour == "cloud" else fail(720702004, "not found", flavour="studio")
        if time.time() - run.started_at < run.workflow.history_delay_s:
            return ok([])
        self._settle(run)
        return ok([self._entry(run)])

    async def node_output(self, request: web.Request) -> web.Response:
        run = self.by_id[request.match_info["execute_id"]]
        return ok({"is_finish": True, "node_output": _wrapped(run.output, run.workflow.wrapping)})

    async def _start(self, request: web.Request, *, is_stream: bool) -> Run | web.Response:
        try:
            body = json.loads(await request.read())
            parameters = body.get("parameters") or {}
            parameters = json.loads(parameters) if isinstance(parameters, str) else parameters
            workflow_id = body["workflow_id"]
            texts_only = all(isinstance(value, str) for value in (body.get("ext") or {}).values())
        except (ValueError, KeyError, AttributeError):
            texts_only, workflow_id, body, parameters = False, "", {}, {}
        if not (texts_only and isinstance(workflow_id, str) and workflow_id and isinstance(parameters, dict)):
            return self._refuse(4000, "Invalid request parameters. Please check your input and try again.")
        workflow = self.workflows.get(workflow_id)
        if workflow is None and not self.accepts_any:
            return self._refuse(4200 if self.coze.flavour == "cloud" else 720702004, "Workflow not found.")
        workflow = workflow or Workflow()
        if missing := [name for name in workflow.needs if name not in parameters]:
            return self._refuse(4000, f"Missing required parameters: {', '.join(missing)}")
        run = Run(
            execute_id=str(next(self._ids)),
            workflow_id=workflow_id,
            workflow=workflow,
            parameters=parameters,
            ext=body.get("ext") or {},
            mode=1 if is_stream else 2 if body.get("is_async") else 0,
        )
        self.by_id[run.execute_id] = run
        return run

    def _refuse(self, code: int, message: str) -> web.Response:
        if self.coze.flavour == "studio" and code == 4000:
            return fail(400, message, status=400, flavour="studio")
        return fail(code, message, flavour=self.coze.flavour)

    def _settle(self, run: Run) -> None:
        if run.status == "Running" and not self.holds and time.time() - run.started_at >= self.seconds_per_run:
            if run.workflow.error:
                self.fail(run.execute_id, run.workflow.error)
            else:
                self.finish(run.execute_id)

    async def _until_ended(self, run: Run) -> None:
        self._settle(run)
        while run.status == "Running":
            await asyncio.sleep(0.01)
            self._settle(run)

    def _answer(self, run: Run, *, data: str) -> web.Response:
        more: dict[str, Any] = {"debug_url": self.debug_url(run), "usage": USAGE, "msg": "Success"}
        if run.mode == 2 or self.coze.flavour == "studio":
            more["execute_id"] = run.execute_id
        if self.coze.flavour == "studio":
            more |= {"token": 30, "cost": "0.00000"}
        if run.workflow.base_resp:
            more["BaseResp"] = {"StatusCode": run.workflow.base_resp, "StatusMessage": "internal refusal"}
        return ok(data, **more)

    def _message(self, title: str, number: int, content: str, *, is_last: bool) -> dict[str, Any]:
        told: dict[str, Any] = {
            "content": content,
            "content_type": "text",
            "node_title": title,
            "node_seq_id": str(number),
            "node_is_finish": is_last,
        }
        if self.coze.flavour == "studio":
            told |= {"node_id": "900001" if title == "End" else "100", "node_type": title, "token": 3}
        return told

    def _entry(self, run: Run) -> dict[str, Any]:
        text = _wrapped(run.output, run.workflow.wrapping) if run.status == "Success" else ""
        is_trimmed = run.workflow.is_trimmed and bool(text)
        entry: dict[str, Any] = {
            "execute_id": run.execute_id,
            "execute_status": run.status,
            "bot_id": "0",
            "connector_id": "1024",
            "connector_uid": str(run.ext.get("user_id") or "77"),
            "run_mode": run.mode,
            "logid": run.log_id,
            "create_time": int(run.started_at),
            "update_time": int(time.time()),
            "output": text[: len(text) // 2] if is_trimmed else text,
            "error_code": "" if run.status != "Fail" else run.workflow.error_code,
            "error_message": run.error,
            "debug_url": self.debug_url(run),
            "usage": USAGE,
            "is_output_trimmed": is_trimmed,
            "node_execute_status": {
                "900001": {
                    "node_id": "900001",
                    "is_finish": run.status != "Running",
                    "update_time": int(time.time()),
                    "node_execute_uuid": f"end-{run.execute_id}",
                }
            },
        }
        return entry if self.coze.flavour == "cloud" else _as_studio(entry)


def _as_studio(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for ids, other names for the log id and the error."""
    own = {key: value for key, value in entry.items() if key not in ("logid", "error_message", "node_execute_status")}
    numbers = {key: int(entry[key]) for key in ("execute_id", "bot_id", "connector_id")}
    return own | numbers | {"log_id": entry["logid"], "error_msg": entry["error_message"], "input": "{}"}


def _as_text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _wrapped(output: Any, times: int) -> str:
    """The history's form: the output's JSON text under `Output`, as often as the workflow says."""
    wrap: Callable[[str], str] = lambda text: json.dumps({"Output": text}, ensure_ascii=False)  # noqa: E731
    text = _as_text(output)
    for _round in range(times):
        text = wrap(text)
    return text
