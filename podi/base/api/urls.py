"""Addresses of logins and of API tokens."""

from django.urls import path

from podi.base.api.auth import LoginView, LogoutView, MeView, RefreshView
from podi.base.api.tokens import ApiTokenRotateView, ApiTokensView, ApiTokenView

urlpatterns = [
    path("api/auth/login", LoginView.as_view()),
    path("api/auth/refresh", RefreshView.as_view()),
    path("api/auth/logout", LogoutView.as_view()),
    path("api/auth/me", MeView.as_view()),
    path("api/admin/api-tokens", ApiTokensView.as_view()),
    path("api/admin/api-tokens/<str:token_id>", ApiTokenView.as_view()),
    path("api/admin/api-tokens/<str:token_id>/rotate", ApiTokenRotateView.as_view()),
]
