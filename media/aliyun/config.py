"""The settings of OSS, read once for each use, with everything that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from django.conf import settings

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class OssConfig:
    """One bucket and how to reach it. The secret is in no repr."""

    endpoint: str
    """With scheme, without a path."""
    region: str
    """Without the leading `oss-`, as signatures and STS want it."""
    bucket: str
    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    public_domain: str = ""
    """Base of public links with scheme; empty: the bucket under the endpoint."""
    signature_version: str = "v4"
    connect_timeout_s: int = 120
    attempts: int = 3
    multipart_bytes: int = 8 * MIB
    part_bytes: int = 8 * MIB
    threads: int = 2
    retry_pause_s: float = 0.6

    @property
    def is_path_style(self) -> bool:
        """The bucket is in the path where the endpoint is an address and no name."""
        host = urlsplit(self.endpoint).hostname or ""
        return ":" in host or host.replace(".", "").isdigit() or host == "localhost"

    @property
    def browser_endpoint(self) -> str:
        """The endpoint that is reached from outside of Aliyun's own network."""
        return self.endpoint.replace("-internal.", ".")

    @property
    def bucket_url(self) -> str:
        """The bucket's address for browsers, without a slash at its end."""
        scheme, _, host = self.browser_endpoint.partition("://")
        return f"{scheme}://{host}/{self.bucket}" if self.is_path_style else f"{scheme}://{self.bucket}.{host}"

    @property
    def public_base(self) -> str:
        return self.public_domain or self.bucket_url

    def public_url(self, key: str) -> str:
        return f"{self.public_base}/{quote(key)}"


def read_config() -> OssConfig:
    """The settings, whether or not they are complete."""
    return OssConfig(
        endpoint=_address(settings.OSS_ENDPOINT),
        region=settings.OSS_REGION.removeprefix("oss-"),
        bucket=settings.OSS_BUCKET,
        access_key_id=settings.OSS_ACCESS_KEY,
        access_key_secret=settings.OSS_SECRET_KEY,
        public_domain=_address(settings.OSS_PUBLIC_DOMAIN) if settings.OSS_PUBLIC_DOMAIN else "",
        signature_version=settings.OSS_SIGNATURE_VERSION,
        connect_timeout_s=settings.OSS_CONNECT_TIMEOUT,
        attempts=settings.OSS_UPLOAD_RETRIES,
        multipart_bytes=settings.OSS_RESUMABLE_THRESHOLD_MB * MIB,
        part_bytes=settings.OSS_RESUMABLE_PART_SIZE_MB * MIB,
        threads=settings.OSS_RESUMABLE_THREADS,
    )


def _address(text: str) -> str:
    """https unless the setting says otherwise."""
    return (text if "://" in text else f"https://{text}").rstrip("/")
