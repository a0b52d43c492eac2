"""A simulated STS: AssumeRole over RPC, its signature recomputed by Aliyun's own SDK."""

from __future__ import annotations

import json
import secrets
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aliyunsdkcore.auth.composer import rpc_signature_composer

from tests.simulators.oss import OssServer
from tests.simulators.oss_signatures import Account

ROLE = "acs:ram::1234567890123456:role/invented-uploader"

# Private names of the SDK (pinned); as strings, for inside a class Python would rename them.
_compose = getattr(rpc_signature_composer, "__compose_string_to_sign")
_sign = getattr(rpc_signature_composer, "__get_signature")


class StsServer:
    """Gives temporary keys for ROLE and tells the simulated OSS of them. `answers`: (status, body) to send first."""

    def __init__(self, oss: OssServer) -> None:
        self.oss = oss
        self.journal: list[dict[str, str]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.role = ROLE
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.sts = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def answer(self, parameters: dict[str, str], method: str) -> tuple[int, dict[str, Any]]:
        given = dict(parameters)
        signature = given.pop("Signature", "")
        if given.get("AccessKeyId") != self.oss.root.key_id:
            return 404, _error("InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        text = _compose(method, given)
        if signature != _sign(text, self.oss.root.secret):
            return 400, _error("SignatureDoesNotMatch", f"not matched. server string to sign is:{text}")
        moment = datetime.strptime(given["Timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - moment) > timedelta(minutes=15):
            return 400, _error("InvalidTimeStamp.Expired", "expired")
        if given["RoleArn"] != self.role:
            return 404, _error("EntityNotExist.Role", "The specified Role not exists.")
        if not 900 <= int(given["DurationSeconds"]) <= 3600 or len(given.get("Policy", "").encode()) > 2048:
            return 400, _error("InvalidParameter", "DurationSeconds or Policy")
        return 200, self._grant(given)

    def _grant(self, given: dict[str, str]) -> dict[str, Any]:
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=int(given["DurationSeconds"]))
        account = Account(
            key_id=f"STS.{secrets.token_hex(8)}",
            secret=secrets.token_hex(16),
            token=secrets.token_urlsafe(48),
            expires_at=expires_at,
            policy=json.loads(given["Policy"]) if given.get("Policy") else None,
        )
        self.oss.grant(account)
        keys = {
            "AccessKeyId": account.key_id,
            "AccessKeySecret": account.secret,
            "SecurityToken": account.token,
            "Expiration": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return {"RequestId": "R1", "AssumedRoleUser": {"Arn": "a", "AssumedRoleId": "b"}, "Credentials": keys}

    def __enter__(self) -> StsServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _error(code: str, message: str) -> dict[str, Any]:
    return {"Code": code, "Message": message, "RequestId": "R1", "HostId": "127.0.0.1"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    sts: StsServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """PODI sends the parameters as a form, AcsClient in the address."""
        sts = self.server.sts
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        query = urlsplit(self.path).query
        parameters = {**dict(parse_qsl(query, keep_blank_values=True)), **dict(parse_qsl(body, keep_blank_values=True))}
        sts.journal.append(parameters)
        if sts.answers:
            status, content = sts.answers.pop(0)
        else:
            status, answer = sts.answer(parameters, "POST")
            content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """The journal is the log."""
