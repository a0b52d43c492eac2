"""`/api/wallet/v1`: freeze, confirm, release, transactions, statistics; grants and refunds for operators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base.api.pagination import read_page
from podi.base.api.permissions import HasScope, IsOperator, caller
from podi.base.errors import InvalidInput
from wallet import services as wallet
from wallet.api import serializers
from wallet.api.doors import check_owner, find_own_hold, run_once
from wallet.errors import WalletHoldConflict
from wallet.models import Hold

KEY_HEADER = OpenApiParameter("Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER, required=False)
USER_ID = OpenApiParameter("userId", OpenApiTypes.STR, required=True)
PAGING = [
    OpenApiParameter("page", OpenApiTypes.INT, default=1),
    OpenApiParameter("pageSize", OpenApiTypes.INT, default=20, description="1 to 200"),
]
MAX_PAGE_SIZE = 200


def read_body(body: type[serializers.Body], request: Request) -> dict[str, Any]:
    checked = body(data=request.data)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def read_user_id(request: Request) -> str:
    """`?userId=`, checked to be an account this caller may read."""
    user_id = request.query_params.get("userId", "")
    if not 1 <= len(user_id) <= 64:
        raise InvalidInput(fields={"userId": "1..64"})
    return check_owner(request, user_id)


class WalletView(APIView):
    permission_classes = [HasScope.of("wallet:read", write="wallet:write")]


class FreezeView(WalletView):
    @extend_schema(
        operation_id="wallet_freeze",
        tags=["wallet"],
        parameters=[KEY_HEADER],
        request=serializers.FreezeBody,
        responses=serializers.FreezeAnswer,
    )
    def post(self, request: Request) -> Response:
        """Reserve points for one task of a user. A repeat with the same terms gets the same hold."""
        body = read_body(serializers.FreezeBody, request)
        owner_id = check_owner(request, body["userId"])

        def freeze() -> Hold:
            return wallet.hold(
                owner_id=owner_id,
                points=body["points"],
                key=f"freeze:{body['taskId']}",
                subject=("task", body["taskId"]),
                action=body["action"],
                channel=body["channel"],
                expires_at=timezone.now() + timedelta(seconds=settings.WALLET_HOLD_TTL_S),
                is_external=True,
            )

        hold = run_once(request, freeze, subject=lambda found: found.pk)
        if hold.state != Hold.State.HELD:  # the answer must not claim points that are no longer reserved
            raise WalletHoldConflict(holdId=hold.reference, state=hold.state)
        return Response({"holdId": hold.reference, "balance": wallet.balance(owner_id).available})


class ConfirmView(WalletView):
    @extend_schema(
        operation_id="wallet_confirm",
        tags=["wallet"],
        parameters=[KEY_HEADER],
        request=serializers.ConfirmBody,
        responses=serializers.ConfirmAnswer,
    )
    def post(self, request: Request) -> Response:
        """Take a hold, all of it or `points`. A repeat gets the same answer."""
        body = read_body(serializers.ConfirmBody, request)
        hold = find_own_hold(request, body["holdId"])
        settled = run_once(
            request,
            lambda: wallet.confirm(hold.pk, points=body.get("points")),
            subject=lambda found: found.hold.pk,
        )
        return Response({"success": True, "deducted": settled.deducted})


class ReleaseView(WalletView):
    @extend_schema(
        operation_id="wallet_release",
        tags=["wallet"],
        parameters=[KEY_HEADER],
        request=serializers.ReleaseBody,
        responses=serializers.ReleaseAnswer,
    )
    def post(self, request: Request) -> Response:
        """Give a hold back to its owner. A repeat gets the same answer."""
        body = read_body(serializers.ReleaseBody, request)
        hold = find_own_hold(request, body["holdId"])
        settled = run_once(request, lambda: wallet.release(hold.pk), subject=lambda found: found.hold.pk)
        answer = {
            "success": True,
            "released": settled.hold.reference,
            "userId": hold.account.owner_id,
            "balance": settled.balance,
        }
        return Response(answer)


class TransactionsView(WalletView):
    @extend_schema(
        operation_id="wallet_transactions",
        tags=["wallet"],
        parameters=[USER_ID, *PAGING],
        responses=serializers.TransactionsAnswer,
    )
    def get(self, request: Request) -> Response:
        """The statement of an account, newest first."""
        owner_id = read_user_id(request)
        page, window = read_page(request, maximum=MAX_PAGE_SIZE)
        found = wallet.transactions(owner_id, page=page, page_size=window.limit)
        return Response({"total": found.total, "items": serializers.TransferLine(found.transfers, many=True).data})


class StatisticsView(WalletView):
    @extend_schema(
        operation_id="wallet_statistics",
        tags=["wallet"],
        parameters=[USER_ID],
        responses=serializers.StatisticsAnswer,
    )
    def get(self, request: Request) -> Response:
        """What an account has now."""
        now = wallet.balance(read_user_id(request))
        return Response(
            {
                "totalPoints": now.available,
                "tempPoints": now.gifted,
                "frozenPoints": now.held,
                "grantedToday": now.granted_today,
            }
        )


class GrantView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        operation_id="wallet_grant",
        tags=["wallet"],
        parameters=[KEY_HEADER],
        request=serializers.GrantBody,
        responses=serializers.TransferLine,
    )
    def post(self, request: Request) -> Response:
        """Operators: give points, with a reason. A repeat of `key` gets the first transfer."""
        body = read_body(serializers.GrantBody, request)
        actor, _ = caller(request)
        terms = {"owner_id": body["userId"], "points": body["points"], "reason": body["reason"], "key": body["key"]}
        written = run_once(request, lambda: wallet.grant(actor, **terms), subject=lambda row: str(row.pk))
        return Response(serializers.TransferLine(written).data)


class RefundView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        operation_id="wallet_refund",
        tags=["wallet"],
        parameters=[KEY_HEADER],
        request=serializers.RefundBody,
        responses=serializers.TransferLine,
    )
    def post(self, request: Request) -> Response:
        """Operators: give back a charge or take back a grant, in whole or in part, with a reason."""
        body = read_body(serializers.RefundBody, request)
        actor, _ = caller(request)
        hold_id = wallet.find_reference(body["holdId"]).pk if "holdId" in body else None
        transfer_id = int(body["transferId"]) if "transferId" in body else None
        written = run_once(
            request,
            lambda: wallet.refund(
                actor,
                hold_id=hold_id,
                transfer_id=transfer_id,
                points=body["points"],
                reason=body["reason"],
                key=body["key"],
            ),
            subject=lambda row: str(row.pk),
        )
        return Response(serializers.TransferLine(written).data)
