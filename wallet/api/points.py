"""The points endpoints under `/api/op/v1` and `/api/os/v1`: prices and figures in the contract's `{code, data}`."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base.api.pagination import MAX_OFFSET, read_int
from podi.base.api.permissions import HasScope
from wallet import services as wallet
from wallet.api import serializers
from wallet.api.doors import check_owner
from wallet.api.views import MAX_PAGE_SIZE, USER_ID, read_body, read_user_id


class PointsView(APIView):
    permission_classes = [HasScope.of("wallet:read")]


class CostView(PointsView):
    @extend_schema(tags=["points"], request=serializers.CostBody, responses=serializers.CostAnswer)
    def post(self, request: Request) -> Response:
        """What an action costs for so many pictures, and whether this user has enough."""
        body = read_body(serializers.CostBody, request)
        now = wallet.balance(check_owner(request, body["userId"]))
        price = wallet.quote(body["action"])
        total = price * max(1, body["imagesCount"])
        data = {
            "pointsPerImage": price,
            "totalPointsCost": total,
            "currentTempPoints": now.gifted,
            "currentRechargePoints": now.recharged,
            "currentTotalPoints": now.available,
            "isSufficient": now.available >= total,
        }
        return Response({"data": data, "code": 0})


class PointsStatisticsView(PointsView):
    @extend_schema(tags=["points"], parameters=[USER_ID], responses=serializers.PointsAnswer)
    def get(self, request: Request) -> Response:
        """What a user has now."""
        now = wallet.balance(read_user_id(request))
        data = {
            "userId": now.owner_id,
            "totalPoints": now.available,
            "tempPoints": now.gifted,
            "rechargePoints": now.recharged,
            "updatedAt": now.updated_at,
        }
        return Response({"data": serializers.PointsData(data).data, "code": 0})


class PointsTransactionsView(PointsView):
    @extend_schema(
        tags=["points"],
        parameters=[
            USER_ID,
            OpenApiParameter("current", OpenApiTypes.INT, default=1),
            OpenApiParameter("page", OpenApiTypes.INT, description="the same as `current`, and wins over it"),
            OpenApiParameter("size", OpenApiTypes.INT, default=20, description="1 to 200"),
        ],
        responses=serializers.PointsTransactionsAnswer,
    )
    def get(self, request: Request) -> Response:
        """A user's transfers, newest first."""
        owner_id = read_user_id(request)
        size = read_int(request, "size", default=20, minimum=1, maximum=MAX_PAGE_SIZE)
        last = MAX_OFFSET // size
        current = read_int(request, "current", default=1, minimum=1, maximum=last)
        page = read_int(request, "page", default=current, minimum=1, maximum=last)
        found = wallet.transactions(owner_id, page=page, page_size=size)
        rows = serializers.TransferLine(found.transfers, many=True).data
        return Response({"data": rows, "total": found.total, "page": page, "size": size, "userId": owner_id})
