"""Addresses of the abilities app."""

urlpatterns: list[object] = []
