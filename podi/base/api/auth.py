"""Login, refresh, logout and "who am I" (contract 1.3)."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base import sessions
from podi.base.addresses import client_address
from podi.base.api.permissions import caller
from podi.base.api.serializers import ErrorSerializer
from podi.base.errors import LoginIdentifierRequired
from podi.base.sessions import TokenPair

_REFUSALS = {code: OpenApiResponse(ErrorSerializer) for code in (400, 401, 403, 404, 422, 429)}


class LoginRequest(serializers.Serializer[Any]):
    username = serializers.CharField(required=False, allow_null=True, allow_blank=True, max_length=150)
    email = serializers.EmailField(required=False, allow_null=True, allow_blank=True, max_length=255)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)


class RefreshRequest(serializers.Serializer[Any]):
    refreshToken = serializers.CharField(max_length=4096)


class TokenAnswer(serializers.Serializer[Any]):
    accessToken = serializers.CharField()
    tokenType = serializers.CharField(default="bearer")
    expiresIn = serializers.IntegerField()
    refreshToken = serializers.CharField()
    role = serializers.ChoiceField(["admin", "user"])


class StatusAnswer(serializers.Serializer[Any]):
    status = serializers.CharField()


class CallerAnswer(serializers.Serializer[Any]):
    id = serializers.CharField()
    username = serializers.CharField()
    email = serializers.CharField(allow_null=True)
    role = serializers.ChoiceField(["admin", "user"])
    status = serializers.CharField()
    access = serializers.ChoiceField(["jwt", "api_token", "service"])
    scopes = serializers.ListField(child=serializers.CharField())
    tokenName = serializers.CharField(allow_null=True)


class OpenView(APIView):
    """Open to everybody: what these views ask for is itself the proof."""

    permission_classes = [AllowAny]
    authentication_classes = []


class LoginView(OpenView):
    @extend_schema(tags=["auth"], request=LoginRequest, responses={200: TokenAnswer, **_REFUSALS})
    def post(self, request: Request) -> Response:
        sent = LoginRequest(data=request.data)
        sent.is_valid(raise_exception=True)
        values = sent.validated_data
        identifier = values.get("username") or values.get("email")
        if not identifier:
            raise LoginIdentifierRequired()
        address = client_address(request.META)
        user = sessions.check_password(
            identifier, values["password"], address=address, is_email=not values.get("username")
        )
        return _answer(sessions.open_session(user, address=address))


class RefreshView(OpenView):
    @extend_schema(tags=["auth"], request=RefreshRequest, responses={200: TokenAnswer, **_REFUSALS})
    def post(self, request: Request) -> Response:
        return _answer(sessions.refresh_session(_sent_token(request)))


class LogoutView(OpenView):
    @extend_schema(tags=["auth"], request=RefreshRequest, responses={200: StatusAnswer, **_REFUSALS})
    def post(self, request: Request) -> Response:
        sessions.close_session(_sent_token(request))
        return Response({"status": "logged_out"})


class MeView(APIView):
    @extend_schema(tags=["auth"], responses={200: CallerAnswer, **_REFUSALS})
    def get(self, request: Request) -> Response:
        user, access = caller(request)
        return Response(
            {
                "id": user.pk,
                "username": user.username,
                "email": user.email,
                "role": user.role,
                "status": user.status,
                "access": access.kind,
                "scopes": sorted(access.scopes),
                "tokenName": access.token.name if access.token else None,
            }
        )


def _sent_token(request: Request) -> str:
    sent = RefreshRequest(data=request.data)
    sent.is_valid(raise_exception=True)
    text: str = sent.validated_data["refreshToken"]
    return text


def _answer(pair: TokenPair) -> Response:
    body = {
        "accessToken": pair.access_token,
        "tokenType": "bearer",
        "expiresIn": pair.expires_in_s,
        "refreshToken": pair.refresh_token,
        "role": pair.user.role,
    }
    return Response(body, headers={"Cache-Control": "no-store"})
