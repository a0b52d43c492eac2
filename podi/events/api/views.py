"""`/api/notify/v1`: replay of events, deliveries and their resend, signing secrets, and a debug event."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base.access import require_operator
from podi.base.api.pagination import read_int, read_window
from podi.base.api.permissions import HasScope, IsOperator, caller
from podi.base.api.serializers import ErrorSerializer
from podi.base.errors import InvalidInput, UserNotFound
from podi.base.models import User
from podi.events import keys, sequencer, services
from podi.events.api import serializers
from podi.events.envelope import envelope_of
from podi.events.models import Delivery

MAX_AFTER = 10**12 - 1
ALL = OpenApiParameter("all", OpenApiTypes.BOOL, description="Everybody's, for operators.")


def sees_all(request: Request) -> bool:
    """Whether `?all=1` is asked for. Raises AdminOnly or ScopeMissing when the caller may not."""
    if request.query_params.get("all", "") not in ("1", "true"):
        return False
    require_operator(*caller(request))
    return True


class DebugEventView(APIView):
    permission_classes = [IsOperator]

    @extend_schema(
        operation_id="notify_event",
        tags=["notify"],
        parameters=[OpenApiParameter("ownerId", OpenApiTypes.STR, description="Whose stream gets it; else one's own.")],
        request=OpenApiTypes.OBJECT,
        responses={200: serializers.SuccessAnswer, 403: ErrorSerializer},
    )
    def post(self, request: Request) -> Response:
        """Record an event by hand, to try a stream. `{type, payload}` goes out as such, any other object as payload."""
        actor, _access = caller(request)
        if not isinstance(request.data, dict):
            raise InvalidInput(fields={"body": _("Send a JSON object.")})
        owner_id = request.query_params.get("ownerId") or actor.pk
        if owner_id != actor.pk and not User.objects.filter(pk=owner_id).exists():
            raise UserNotFound
        services.record_debug(actor, owner_id=owner_id, body=request.data)
        return Response({"success": True})


class EventsView(APIView):
    permission_classes = [HasScope.of("notify:read")]

    @extend_schema(
        operation_id="notify_events",
        tags=["notify"],
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, default=0, description="The last event id already seen."),
            OpenApiParameter("limit", OpenApiTypes.INT, default=100, description="1 to 500"),
            ALL,
        ],
        responses={200: serializers.EventPage, 401: ErrorSerializer},
    )
    def get(self, request: Request) -> Response:
        """The events that follow `after`, in their order: one's own, or everybody's for operators with `all=1`."""
        actor, _access = caller(request)
        after = read_int(request, "after", default=0, minimum=0, maximum=MAX_AFTER)
        limit = read_int(request, "limit", default=100, minimum=1, maximum=500)
        owner_id = None if sees_all(request) else actor.pk
        sequencer.sequence_committed()
        found = sequencer.read_after(after, owner_id=owner_id, limit=limit + 1)
        events = found[:limit]
        return Response(
            {
                "items": [envelope_of(event) for event in events],
                "lastEventId": events[-1].sequence if events else after,
                "hasMore": len(found) > limit,
                "isIncomplete": after < sequencer.swept_through(),
            }
        )


class DeliveriesView(APIView):
    permission_classes = [HasScope.of("notify:read")]

    @extend_schema(
        operation_id="notify_deliveries",
        tags=["notify"],
        parameters=[
            OpenApiParameter("state", OpenApiTypes.STR, enum=Delivery.State.values),
            OpenApiParameter("subjectId", OpenApiTypes.STR, description="For example the plain id of a task."),
            OpenApiParameter("limit", OpenApiTypes.INT, default=50),
            OpenApiParameter("offset", OpenApiTypes.INT, default=0),
            ALL,
        ],
        responses={200: serializers.DeliveryPage, 401: ErrorSerializer},
    )
    def get(self, request: Request) -> Response:
        """Callbacks and what became of them, newest first, with every attempt."""
        actor, _access = caller(request)
        window = read_window(request)
        rows = Delivery.objects.all() if sees_all(request) else Delivery.objects.filter(owner_id=actor.pk)
        if state := request.query_params.get("state"):
            if state not in Delivery.State.values:
                raise InvalidInput(fields={"state": ", ".join(Delivery.State.values)})
            rows = rows.filter(state=state)
        if subject_id := request.query_params.get("subjectId"):
            rows = rows.filter(event__subject_id=subject_id)
        page = rows.select_related("event").prefetch_related("log").order_by("-created_at", "-id")[window.slice]
        return Response(
            {
                "items": serializers.DeliveryRow(page, many=True).data,
                "total": rows.count(),
                "limit": window.limit,
                "offset": window.offset,
            }
        )


class ResendView(APIView):
    permission_classes = [HasScope.of("notify:read", write="tasks:write")]

    @extend_schema(
        operation_id="notify_resend",
        tags=["notify"],
        request=None,
        responses={200: serializers.DeliveryRow, 404: ErrorSerializer, 409: ErrorSerializer},
    )
    def post(self, request: Request, delivery_id: str) -> Response:
        """Send a callback again, with a new round of attempts and the same `webhook-id`."""
        actor, access = caller(request)
        if actor.is_staff and not Delivery.objects.filter(pk=delivery_id, owner_id=actor.pk).exists():
            require_operator(actor, access)
        delivery = services.send_again(actor, delivery_id)
        return Response(serializers.DeliveryRow(delivery).data)


class WebhookSecretView(APIView):
    permission_classes = [HasScope.of("notify:read", write="tasks:write")]

    @extend_schema(operation_id="notify_secret", tags=["notify"], responses={200: serializers.SecretAnswer})
    def get(self, request: Request) -> Response:
        """The secret that signs one's callbacks."""
        actor, _access = caller(request)
        return self._answer(keys.current_secret(actor.pk))

    @extend_schema(
        operation_id="notify_secret_change", tags=["notify"], request=None, responses={200: serializers.SecretAnswer}
    )
    def post(self, request: Request) -> Response:
        """Change the secret. For 24 hours callbacks carry the signatures of both."""
        actor, _access = caller(request)
        return self._answer(keys.change_secret(actor.pk))

    @staticmethod
    def _answer(secret: keys.SigningSecret) -> Response:
        values: dict[str, Any] = {"secret": secret.secret, "previousValidUntil": secret.previous_valid_until}
        return Response(serializers.SecretAnswer(values).data, headers={"Cache-Control": "no-store"})
