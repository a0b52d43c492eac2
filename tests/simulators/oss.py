"""A simulated OSS for one bucket: a real HTTP server that checks signatures, policies and sums, and reports uploads."""

from __future__ import annotations

import base64
import email.parser
import email.policy
import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import crcmod
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.simulators.oss_signatures import Account, Refused, check_form, check_request, check_session

crc64 = crcmod.mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, xorOut=0xFFFFFFFFFFFFFFFF, rev=True)


@dataclass(kw_only=True)
class Stored:
    data: bytes
    content_type: str
    modified_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    etag: str = ""

    def __post_init__(self) -> None:
        self.etag = self.etag or hashlib.md5(self.data).hexdigest().upper()


@dataclass(kw_only=True)
class Parts:
    key: str
    content_type: str
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(kw_only=True)
class Fault:
    """For the next `times` requests of this method (with `path` in the address): a status, a cut or a wrong sum."""

    method: str
    path: str = ""
    status: int = 0
    cut: bool = False
    wrong_sum: bool = False
    cut_body_after: int | None = None
    times: int = 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    key: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    status: int


class OssServer:
    """`with OssServer() as oss:`; `oss.endpoint`, `oss.objects`, `oss.grant(...)`, `oss.faults.append(Fault(...))`."""

    def __init__(self, *, bucket: str = "test-bucket", region: str = "cn-hangzhou") -> None:
        self.bucket, self.region = bucket, region
        self.root = Account(key_id="invented-key-id", secret="invented-key-secret")
        self.objects: dict[str, Stored] = {}
        self.multipart: dict[str, Parts] = {}
        self.sessions: dict[str, Account] = {}
        self.faults: list[Fault] = []
        self.journal: list[Asked] = []
        self.callbacks: list[tuple[int, bytes]] = []
        self.key_path = "/callback_pub_key.pem"
        self.private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.oss = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def key_url(self) -> str:
        return self.endpoint + self.key_path

    def grant(self, account: Account) -> None:
        """Make temporary keys known."""
        self.sessions[account.key_id] = account

    def account_of(self, key_id: str, token: str) -> Account:
        if key_id == self.root.key_id and not token:
            return self.root
        account = self.sessions.get(key_id)
        if account is None:
            raise Refused(403, "InvalidAccessKeyId")
        if account.token != token:
            raise Refused(403, "InvalidSecurityToken")
        return account

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def sign(self, path: str, query: str, body: bytes) -> str:
        text = unquote(path) + (f"?{query}" if query else "")
        signature = self.private_key.sign(text.encode() + b"\n" + body, padding.PKCS1v15(), hashes.MD5())
        return base64.b64encode(signature).decode()

    def callback_headers(self, url: str, body: bytes) -> dict[str, str]:
        target = urlsplit(url)
        return {
            "authorization": self.sign(target.path, target.query, body),
            "x-oss-pub-key-url": base64.b64encode(self.key_url.encode()).decode(),
        }

    def report(self, wanted: str, *, key: str, variables: str = "") -> tuple[int, bytes]:
        """Post a callback as `wanted` (base64 JSON) says; what came back."""
        plan = json.loads(base64.b64decode(wanted))
        found = self.objects[key]
        values = {
            "bucket": self.bucket,
            "object": key,
            "etag": found.etag,
            "size": str(len(found.data)),
            "mimeType": found.content_type,
            **(json.loads(base64.b64decode(variables)) if variables else {}),
        }
        is_json = plan.get("callbackBodyType") == "application/json"
        text = plan["callbackBody"]
        for name, value in values.items():
            filled = (value if name == "size" else json.dumps(value)) if is_json else quote(value, safe="")
            text = text.replace(f"${{{name}}}", filled)
        kind = plan.get("callbackBodyType", "application/x-www-form-urlencoded")
        headers = {"content-type": kind, **self.callback_headers(plan["callbackUrl"], text.encode())}
        answer = requests.post(plan["callbackUrl"], data=text.encode(), headers=headers, timeout=5)
        self.callbacks.append((answer.status_code, answer.content))
        return answer.status_code, answer.content

    def __enter__(self) -> OssServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    oss: OssServer


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        oss = self.server.oss
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("transfer-encoding") == "chunked":
            self.body = self._read_chunks()
        self.sent = {name.lower(): value for name, value in self.headers.items()}
        target = urlsplit(self.path)
        self.params = dict(parse_qsl(target.query, keep_blank_values=True))
        path = unquote(target.path)
        if path == oss.key_path:
            public = oss.private_key.public_key()
            pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            self._send(200, pem)
            return
        head = f"/{oss.bucket}"
        path = path.removeprefix(head) if path == head or path.startswith(head + "/") else path
        self.key = path.removeprefix("/")
        self.fault = oss.take_fault(self.command, self.path)
        if self.fault and self.fault.cut:
            self.close_connection = True
            self.connection.close()
            return
        try:
            if self.fault and self.fault.status:
                raise Refused(self.fault.status, "InternalError")
            self._handle()
        except Refused as error:
            text = f"<?xml version='1.0'?><Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
            self._send(error.status, f"{text}<RequestId>R1</RequestId></Error>".encode(), kind="application/xml")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

    def do_OPTIONS(self) -> None:
        self._send(200, b"")

    def _handle(self) -> None:
        oss, method, params = self.server.oss, self.command, self.params
        if method == "POST" and not self.key:
            self._post_form()
            return
        account = check_request(
            oss.account_of,
            method=method,
            bucket=oss.bucket,
            key=self.key,
            params=params,
            headers=self.sent,
            region=oss.region,
        )
        action, work = self._choose(method, params)
        check_session(account, action=action, bucket=oss.bucket, key=self.key)
        work()

    def _choose(self, method: str, params: Mapping[str, str]) -> tuple[str, Callable[[], None]]:
        if not self.key:
            return ("oss:ListObjects", self._list_uploads if "uploads" in params else self._list)
        if method == "POST" and "uploads" in params:
            return "oss:PutObject", self._begin
        if method == "PUT" and "uploadId" in params:
            return "oss:PutObject", self._put_part
        if method == "POST" and "uploadId" in params:
            return "oss:PutObject", self._complete
        if method == "DELETE" and "uploadId" in params:
            return "oss:AbortMultipartUpload", self._abort
        if method == "GET" and "uploadId" in params:
            return "oss:ListParts", self._list_parts
        return {
            "PUT": ("oss:PutObject", self._put),
            "GET": ("oss:GetObject", self._get),
            "HEAD": ("oss:GetObject", self._get),
            "DELETE": ("oss:DeleteObject", self._delete),
        }[method]

    def _put(self) -> None:
        self._check_md5()
        self._store(self.key, self.body, self.sent.get("content-type", ""), self.sent)
        self._answer_upload(self.key, self.sent.get("x-oss-callback", ""), self.sent.get("x-oss-callback-var", ""))

    def _store(self, key: str, data: bytes, content_type: str, given: Mapping[str, str]) -> None:
        oss = self.server.oss
        with oss.lock:
            if given.get("x-oss-forbid-overwrite") == "true" and key in oss.objects:
                raise Refused(409, "FileAlreadyExists")
            oss.objects[key] = Stored(data=data, content_type=content_type or "application/octet-stream")

    def _answer_upload(self, key: str, callback: str, variables: str, *, status: int = 200, body: bytes = b"") -> None:
        found = self.server.oss.objects[key]
        headers = {"ETag": f'"{found.etag}"', "x-oss-hash-crc64ecma": self._sum(found.data)}
        kind = "application/xml"
        if callback:
            try:
                code, body = self.server.oss.report(callback, key=key, variables=variables)
            except requests.RequestException:
                code = 0
            kind = "application/json"
            if code != 200:
                status, kind = 203, "application/xml"
                body = b"<Error><Code>CallbackFailed</Code><Message>callback</Message></Error>"
        self._send(status, body, headers=headers, kind=kind)

    def _sum(self, data: bytes) -> str:
        is_wrong = self.fault is not None and self.fault.wrong_sum
        return str(crc64(data) ^ (1 if is_wrong else 0))

    def _check_md5(self) -> None:
        given = self.sent.get("content-md5")
        if given and base64.b64decode(given) != hashlib.md5(self.body).digest():
            raise Refused(400, "InvalidDigest")

    def _get(self) -> None:
        found = self.server.oss.objects.get(self.key)
        if found is None:
            raise Refused(404, "NoSuchKey")
        if self.sent.get("if-match", f'"{found.etag}"').strip('"') != found.etag:
            raise Refused(412, "PreconditionFailed")
        data, status = found.data, 200
        headers = {
            "ETag": f'"{found.etag}"',
            "Last-Modified": format_datetime(found.modified_at, usegmt=True),
            "x-oss-hash-crc64ecma": self._sum(found.data),
            "Accept-Ranges": "bytes",
        }
        if wanted := self.sent.get("range", "").removeprefix("bytes="):
            first, _, last = wanted.partition("-")
            end = min(int(last), len(data) - 1) if last else len(data) - 1
            headers["Content-Range"] = f"bytes {first}-{end}/{len(data)}"
            data, status = data[int(first) : end + 1], 206
        if "response-content-disposition" in self.params:
            headers["Content-Disposition"] = self.params["response-content-disposition"]
        kind = self.params.get("response-content-type", found.content_type)
        self._send(status, data, headers=headers, kind=kind)

    def _delete(self) -> None:
        self.server.oss.objects.pop(self.key, None)
        self._send(204, b"")

    def _list(self) -> None:
        oss, size = self.server.oss, int(self.params.get("max-keys", "100"))
        after = self.params.get("continuation-token") or self.params.get("marker") or self.params.get("start-after", "")
        names = sorted(name for name in oss.objects if name.startswith(self.params.get("prefix", "")) and name > after)
        page, is_more = names[:size], len(names) > size
        rows = "".join(
            f"<Contents><Key>{quote(name)}</Key><LastModified>{_iso(oss.objects[name].modified_at)}</LastModified>"
            f'<ETag>"{oss.objects[name].etag}"</ETag><Type>Normal</Type><Size>{len(oss.objects[name].data)}</Size>'
            "<StorageClass>Standard</StorageClass></Contents>"
            for name in page
        )
        more = f"<NextContinuationToken>{page[-1]}</NextContinuationToken>" if is_more else ""
        more += f"<NextMarker>{quote(page[-1])}</NextMarker>" if is_more else ""
        text = f"<IsTruncated>{str(is_more).lower()}</IsTruncated><EncodingType>url</EncodingType>{more}{rows}"
        self._xml(f"<ListBucketResult>{text}</ListBucketResult>")

    def _list_uploads(self) -> None:
        rows = "".join(
            f"<Upload><Key>{quote(parts.key)}</Key><UploadId>{name}</UploadId>"
            f"<Initiated>{_iso(parts.begun_at)}</Initiated></Upload>"
            for name, parts in self.server.oss.multipart.items()
        )
        empty = "<NextKeyMarker/><NextUploadIdMarker/>"
        text = f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{empty}{rows}"
        self._xml(f"<ListMultipartUploadsResult>{text}</ListMultipartUploadsResult>")

    def _begin(self) -> None:
        name = uuid.uuid4().hex
        self.server.oss.multipart[name] = Parts(key=self.key, content_type=self.sent.get("content-type", ""))
        text = f"<Bucket>{self.server.oss.bucket}</Bucket><Key>{escape(self.key)}</Key><UploadId>{name}</UploadId>"
        self._xml(f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>")

    def _parts(self) -> Parts:
        found = self.server.oss.multipart.get(self.params["uploadId"])
        if found is None or found.key != self.key:
            raise Refused(404, "NoSuchUpload")
        return found

    def _put_part(self) -> None:
        self._check_md5()
        self._parts().parts[int(self.params["partNumber"])] = self.body
        etag = hashlib.md5(self.body).hexdigest().upper()
        self._send(200, b"", headers={"ETag": f'"{etag}"', "x-oss-hash-crc64ecma": self._sum(self.body)})

    def _list_parts(self) -> None:
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><LastModified>{_iso(datetime.now(UTC))}</LastModified>"
            f'<ETag>"{hashlib.md5(data).hexdigest().upper()}"</ETag><Size>{len(data)}</Size>'
            f"<HashCrc64ecma>{crc64(data)}</HashCrc64ecma></Part>"
            for number, data in sorted(self._parts().parts.items())
        )
        self._xml(
            f"<ListPartsResult><NextPartNumberMarker>0</NextPartNumberMarker><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>"
        )

    def _complete(self) -> None:
        parts = self._parts()
        data = b"".join(data for _, data in sorted(parts.parts.items()))
        self._store(self.key, data, parts.content_type, self.sent)
        del self.server.oss.multipart[self.params["uploadId"]]
        etag = self.server.oss.objects[self.key].etag
        text = f'<CompleteMultipartUploadResult><Key>{escape(self.key)}</Key><ETag>"{etag}"</ETag>'
        body = f"{text}</CompleteMultipartUploadResult>".encode()
        callback, variables = self.sent.get("x-oss-callback", ""), self.sent.get("x-oss-callback-var", "")
        self._answer_upload(self.key, callback, variables, body=body)

    def _abort(self) -> None:
        self._parts()
        del self.server.oss.multipart[self.params["uploadId"]]
        self._send(204, b"")

    def _post_form(self) -> None:
        oss = self.server.oss
        head = f"Content-Type: {self.sent['content-type']}\r\n\r\n".encode()
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
        fields: dict[str, str] = {}
        data = b""
        for part in message.iter_parts():
            name = str(part.get_param("name", header="content-disposition"))
            payload = part.get_payload(decode=True)
            if name == "file":
                data = payload if isinstance(payload, bytes) else b""
                break  # what comes after the file is not read
            fields[name if name in ("OSSAccessKeyId", "Signature") else name.lower()] = payload.decode()  # type: ignore[union-attr]
        account = check_form(oss.account_of, fields, bucket=oss.bucket, size=len(data), region=oss.region)
        self.key = fields["key"]
        check_session(account, action="oss:PostObject", bucket=oss.bucket, key=self.key)
        self._store(self.key, data, fields.get("content-type", ""), fields)
        status = int(fields.get("success_action_status") or 204)
        self._answer_upload(self.key, fields.get("callback", ""), "", status=status)

    def _read_chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _xml(self, text: str) -> None:
        self._send(200, f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode(), kind="application/xml")

    def _send(self, status: int, body: bytes, *, headers: Mapping[str, str] | None = None, kind: str = "") -> None:
        key, params = getattr(self, "key", ""), getattr(self, "params", {})
        self.server.oss.journal.append(
            Asked(method=self.command, key=key, params=params, headers=getattr(self, "sent", {}), status=status)
        )
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-oss-request-id", "R1")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, HEAD")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Expose-Headers", "ETag, x-oss-request-id")
        self.end_headers()
        if self.command == "HEAD":
            return
        fault = getattr(self, "fault", None)
        if fault is not None and fault.cut_body_after is not None:
            self.wfile.write(body[: fault.cut_body_after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """The journal is the log."""


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
