"""Aliyun's sums, against its own published examples and its own programs."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from media.aliyun import callbacks, sts
from media.aliyun.callbacks import KeyUnavailable, NotFromOss, Post, Verifier
from media.aliyun.post_policy import FormRules, SigningKeys, form_fields, sign_v1, sign_v4
from tests.simulators.files import File, FileServer
from tests.simulators.oss import OssServer
from tests.simulators.sts import ROLE, StsServer

PUBLISHED_KEY = """-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKs/JBGzwUB2aVht4crBx3oIPBLNsjGsC0fTXv+nvlmklvkcolvpvXLTjaxUHR3W9LXxQ2EHXAJfCB+6H2YF1k8CAwEAAQ==
-----END PUBLIC KEY-----
"""
PUBLISHED_SIGNATURE = "kKQeGTRccDKyHB3H9vF+xYMSrmhMZjzzl2/kdD1ktNVgbWEfYTQG0G2SU/RaHBovRCE8OkQDjC3uG33esH2txA=="
POLICY = (
    '{"expiration":"2030-01-01T00:00:00Z","conditions":[{"bucket":"bkt"},'
    '["starts-with","$key","uploads/u1/"],["content-length-range",1,10]]}'
)


def post(*, path: str = "/index.php", query: str = "id=1&index=2", body: bytes = b"bucket=yonghu-test") -> Post:
    return Post(path=path, query=query, body=body, authorization="", key_url="")


def test_the_published_rpc_example_has_its_published_signature() -> None:
    signed = sts.sign_rpc(
        {"Action": "DescribeRegions"},
        method="GET",
        version="2014-05-26",
        access_key_id="testid",
        access_key_secret="testsecret",
        now=datetime(2016, 2, 23, 12, 46, 24, tzinfo=UTC),
        nonce="3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        format="XML",
    )
    assert signed["Signature"] == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


def test_a_policy_is_signed_as_ali_oss_signs_it() -> None:
    text = base64.b64encode(POLICY.encode()).decode()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert sign_v1(text, secret="sk") == "wDDDBDOrhZ2qf5QLglqhA0LQdYk="
    expected = "1f97d101fc2d6b55494798bae012fddb740e5e0012042b3cd42408723d249f15"
    assert sign_v4(text, secret="sk", region="cn-hangzhou", now=now) == expected


def test_a_form_names_every_field_in_its_policy() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    keys = SigningKeys(access_key_id="id", access_key_secret="invented-secret", security_token="token")
    rules = FormRules(
        bucket="b", key="k", expires_at=now + timedelta(hours=1), max_bytes=10, types=("image/png",), fields={"x": "1"}
    )
    fields = form_fields(rules, keys, region="cn-hangzhou", now=now)
    policy = json.loads(base64.b64decode(fields["policy"]))
    assert policy["expiration"] == "2026-01-01T13:00:00.000Z"
    named = {condition[1] for condition in policy["conditions"] if isinstance(condition, list)}
    assert {f"${name}" for name in fields} - {"$policy", "$x-oss-signature"} == {n for n in named if str(n)[0] == "$"}
    assert "invented-secret" not in json.dumps(fields) + repr(keys)


def test_the_published_callback_is_from_oss_and_a_changed_one_is_not() -> None:
    key = callbacks.load_key(PUBLISHED_KEY.encode())
    signature = base64.b64decode(PUBLISHED_SIGNATURE)
    callbacks.verify(post(), signature, key)
    for changed in (post(path="/other.php"), post(query="id=1&index=3"), post(query=""), post(body=b"bucket=other")):
        with pytest.raises(NotFromOss):
            callbacks.verify(changed, signature, key)


@pytest.mark.parametrize("path", ["/回调", "/%E5%9B%9E%E8%B0%83"])
def test_the_path_is_decoded_before_it_is_checked(path: str) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    signature = private.sign("/回调?a=%20b\nbody".encode(), padding.PKCS1v15(), hashes.MD5())
    callbacks.verify(post(path=path, query="a=%20b", body=b"body"), signature, private.public_key())


def signed_post(private: rsa.RSAPrivateKey, key_url: str) -> Post:
    signature = base64.b64encode(private.sign(b"/hook\nbody", padding.PKCS1v15(), hashes.MD5())).decode()
    return Post(
        path="/hook",
        query="",
        body=b"body",
        authorization=signature,
        key_url=base64.b64encode(key_url.encode()).decode(),
    )


def test_only_allowed_addresses_are_fetched_and_a_key_once() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with FileServer() as server:
        server.files["/keys/v1.pem"] = File(body=pem)
        server.files["/other.pem"] = File(body=pem)
        verifier = Verifier(key_urls=[server.url("/keys/")], allowed_networks=["127.0.0.0/8"])
        for address in (
            server.url("/other.pem"),
            server.url("/keys/../other.pem"),
            f"http://gosspublic.alicdn.com.evil.example:{server.port}/keys/v1.pem",
            f"{server.url('/keys/')}@evil.example/",
            "file:///etc/hosts",
        ):
            with pytest.raises(NotFromOss):
                verifier.check(signed_post(private, address))
        assert server.journal == []
        for _ in range(3):
            verifier.check(signed_post(private, server.url("/keys/v1.pem")))
        assert len(server.journal) == 1
        with pytest.raises(KeyUnavailable):
            verifier.check(signed_post(private, server.url("/keys/none.pem")))
        server.files["/keys/page"] = File(body=b"<html>")
        with pytest.raises(KeyUnavailable):
            verifier.check(signed_post(private, server.url("/keys/page")))


def test_the_official_key_is_fetched_by_https_even_where_http_is_named() -> None:
    verifier = Verifier(key_urls=["http://gosspublic.alicdn.com/", "https://gosspublic.alicdn.com/"])
    named = b"http://gosspublic.alicdn.com/callback_pub_key_v1.pem"
    assert verifier._key_address(named) == "https://gosspublic.alicdn.com/callback_pub_key_v1.pem"


def test_the_simulated_sts_is_one_that_aliyuns_own_client_accepts() -> None:
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import CommonRequest

    with OssServer() as oss, StsServer(oss) as server:
        client = AcsClient(oss.root.key_id, oss.root.secret, "cn-hangzhou")
        request = CommonRequest(domain=f"127.0.0.1:{server.port}", version="2015-04-01", action_name="AssumeRole")
        request.set_protocol_type("http")
        request.set_method("POST")
        for name, value in {"RoleArn": ROLE, "RoleSessionName": "podi-x", "DurationSeconds": "900"}.items():
            request.add_query_param(name, value)
        answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
        assert answer["Credentials"]["AccessKeyId"] in oss.sessions


def test_a_session_name_has_only_what_sts_allows() -> None:
    assert sts.session_name("张 三/../x") == "podi-____.._x"
    assert len(sts.session_name("a" * 100)) == 64


def test_a_policy_that_is_too_long_is_not_sent() -> None:
    policy = sts.upload_policy(bucket="b", folder="x" * 2100)
    session = sts.RoleSession(role_arn=ROLE, session_name="podi-x", duration_s=900, policy=policy)
    with pytest.raises(sts.StsError, match="2048"):
        sts.assume_role(session, endpoint="http://127.0.0.1:9", access_key_id="a", access_key_secret="b")


NODE_CLIENT = """
const OSS = require('ali-oss');
const [endpoint, bucket, id, secret, token] = process.argv.slice(2);
(async () => {
  const client = new OSS({
    endpoint, bucket, region: 'oss-cn-hangzhou', accessKeyId: id, accessKeySecret: secret, stsToken: token || undefined,
    authorizationV4: true, retryMax: 0,
  });
  await client.put('uploads/ann/杯子.txt', Buffer.from('words'));
  const got = token ? 'words' : (await client.get('uploads/ann/杯子.txt')).content.toString();
  let refused = '';
  try { await client.put('outside.txt', Buffer.from('x')); } catch (error) { refused = error.code; }
  console.log(JSON.stringify({ got, refused }));
})().catch((error) => { console.error(error.code, error.message); process.exit(1); });
"""


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ali-oss in a folder of its own, or a reason why not."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no Node.js here")
    folder = tmp_path_factory.mktemp("ali-oss")
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), "ali-oss@6.23.0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("ali-oss could not be installed in time")
    if done.returncode:
        pytest.skip("ali-oss cannot be installed here")
    (folder / "client.js").write_text(NODE_CLIENT)
    return folder


@pytest.mark.parametrize("is_temporary", [False, True])
def test_ali_oss_of_a_browser_works_with_the_simulated_oss_and_our_keys(node_folder: Any, is_temporary: bool) -> None:
    with OssServer() as oss, StsServer(oss) as server:
        keys = [oss.root.key_id, oss.root.secret, ""]
        if is_temporary:
            policy = sts.upload_policy(bucket=oss.bucket, folder="uploads/ann")
            session = sts.RoleSession(role_arn=ROLE, session_name="podi-ann", duration_s=900, policy=policy)
            given = sts.assume_role(
                session,
                endpoint=server.endpoint,
                access_key_id=oss.root.key_id,
                access_key_secret=oss.root.secret,
            )
            keys = [given.access_key_id, given.access_key_secret, given.security_token]
        command = ["node", str(node_folder / "client.js"), oss.endpoint, oss.bucket, *keys]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"got": "words", "refused": "AccessDenied" if is_temporary else ""}
        assert oss.objects["uploads/ann/杯子.txt"].data == b"words"


def test_alibabacloud_oss_v2_works_with_the_simulated_oss() -> None:
    oss_v2 = pytest.importorskip("alibabacloud_oss_v2")
    with OssServer() as oss:
        config = oss_v2.config.load_default()
        config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(oss.root.key_id, oss.root.secret)
        config.region, config.endpoint, config.use_path_style = oss.region, oss.endpoint, True
        client = oss_v2.Client(config)
        client.put_object(oss_v2.PutObjectRequest(bucket=oss.bucket, key="a/杯 子.txt", body=b"words"))
        found = client.get_object(oss_v2.GetObjectRequest(bucket=oss.bucket, key="a/杯 子.txt"))
        assert found.body.content == b"words"
        link = client.presign(oss_v2.GetObjectRequest(bucket=oss.bucket, key="a/杯 子.txt"))
        import requests

        assert requests.get(link.url, timeout=5).content == b"words"
        uploader = client.uploader(part_size=100 * 1024, parallel_num=2)
        data = bytes(range(256)) * 1200
        import io

        uploader.upload_from(oss_v2.PutObjectRequest(bucket=oss.bucket, key="big.bin"), reader=io.BytesIO(data))
        assert oss.objects["big.bin"].data == data
