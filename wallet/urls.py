"""Addresses of the wallet."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from wallet.api import points, views

_points = [
    path("img/points-cost", points.CostView.as_view()),
    path("points/statistics", points.PointsStatisticsView.as_view()),
    path("points/transactions", points.PointsTransactionsView.as_view()),
]
_wallet = [
    path("freeze", views.FreezeView.as_view()),
    path("confirm", views.ConfirmView.as_view()),
    path("release", views.ReleaseView.as_view()),
    path("transactions", views.TransactionsView.as_view()),
    path("statistics", views.StatisticsView.as_view()),
    path("grant", views.GrantView.as_view()),
    path("refund", views.RefundView.as_view()),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/wallet/v1/", include(_wallet)),
    path("api/op/v1/", include(_points)),
    path("api/os/v1/", include(_points)),
]
