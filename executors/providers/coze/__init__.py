"""Workflows on Coze: the cloud's and Coze Studio's open API."""

from executors.providers.coze.adapter import CozeProvider

__all__ = ["CozeProvider"]
