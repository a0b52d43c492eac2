"""Operators' endpoints for API tokens: list, issue, rotate, revoke (snake_case, like all of /api/admin)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base import services
from podi.base.access import SCOPES
from podi.base.api.pagination import read_window
from podi.base.api.permissions import IsOperator, caller
from podi.base.api.serializers import ErrorSerializer, StrictSerializer
from podi.base.errors import InvalidInput, NotFound
from podi.base.models import ApiToken, User

_REFUSALS = {code: OpenApiResponse(ErrorSerializer) for code in (401, 403, 404, 422)}


class TokenRequest(StrictSerializer):
    name = serializers.CharField(max_length=128)
    user_id = serializers.CharField(max_length=64, required=False, help_text="Whom it acts as; else the caller.")
    scopes = serializers.ListField(child=serializers.ChoiceField(list(SCOPES)), required=False)
    allowed_ips = serializers.ListField(child=serializers.CharField(max_length=64), required=False, max_length=100)
    rate_per_minute = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True)
    max_concurrency = serializers.IntegerField(min_value=1, max_value=1_000_000, required=False, allow_null=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)


class TokenRow(serializers.ModelSerializer[ApiToken]):
    username = serializers.CharField(source="user.username", read_only=True)

    class Meta:
        model = ApiToken
        fields = (
            "id",
            "name",
            "prefix",
            "user_id",
            "username",
            "scopes",
            "allowed_ips",
            "rate_per_minute",
            "max_concurrency",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "created_at",
        )


class IssuedToken(TokenRow):
    token = serializers.CharField(read_only=True, help_text="The text, shown this once.")

    class Meta(TokenRow.Meta):
        fields = (*TokenRow.Meta.fields, "token")  # type: ignore[assignment]


class TokenPage(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    limit = serializers.IntegerField()
    offset = serializers.IntegerField()
    items = TokenRow(many=True)


class ApiTokenDeleted(serializers.Serializer[Any]):
    status = serializers.CharField(default="deleted")


class ApiTokensView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        tags=["admin"],
        parameters=[OpenApiParameter("limit", int), OpenApiParameter("offset", int)],
        responses={200: TokenPage, **_REFUSALS},
    )
    def get(self, request: Request) -> Response:
        window = read_window(request)
        rows = ApiToken.objects.select_related("user").order_by("-created_at", "-id")
        items = TokenRow(rows[window.slice], many=True).data
        return Response({"total": rows.count(), "limit": window.limit, "offset": window.offset, "items": items})

    @extend_schema(tags=["admin"], request=TokenRequest, responses={200: IssuedToken, **_REFUSALS})
    def post(self, request: Request) -> Response:
        sent = TokenRequest(data=request.data)
        sent.is_valid(raise_exception=True)
        values = dict(sent.validated_data)
        actor, _access = caller(request)
        user_id = values.pop("user_id", actor.pk)
        user = actor if user_id == actor.pk else _find_user(user_id)
        token, text = services.issue_token(actor, user, **values)
        return _with_text(token, text)


class ApiTokenView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], responses={200: ApiTokenDeleted, **_REFUSALS})
    def delete(self, request: Request, token_id: str) -> Response:
        services.revoke_token(caller(request)[0], _find(token_id))
        return Response({"status": "deleted"})


class ApiTokenRotateView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(tags=["admin"], request=None, responses={200: IssuedToken, **_REFUSALS})
    def post(self, request: Request, token_id: str) -> Response:
        token = _find(token_id)
        return _with_text(token, services.rotate_token(caller(request)[0], token))


def _with_text(token: ApiToken, text: str) -> Response:
    return Response({**TokenRow(token).data, "token": text}, headers={"Cache-Control": "no-store"})


def _find(token_id: str) -> ApiToken:
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    if token is None:
        raise NotFound()
    return token


def _find_user(user_id: str) -> User:
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise InvalidInput(fields={"user_id": _("There is no such user.")})
    return user
