"""Fixtures that several apps' tests share."""
