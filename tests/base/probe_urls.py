"""Addresses that exist only in the tests of podi.base: one view per kind of permission and of failure."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from django.urls import include, path
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from podi.base.api import envelope
from podi.base.api.pagination import read_page, read_window
from podi.base.api.permissions import HasScope, IsOperator
from podi.base.errors import RateLimited


class WhoAmI(APIView):
    def get(self, request: Request) -> Response:
        return Response({"id": request.user.pk, "kind": request.auth.kind, "scopes": sorted(request.auth.scopes)})


class ForOperators(WhoAmI):
    permission_classes: ClassVar = [IsOperator]


class ForTasks(WhoAmI):
    permission_classes: ClassVar = [HasScope.of("tasks:read", write="tasks:write")]

    def post(self, request: Request) -> Response:
        return self.get(request)


class Echo(APIView):
    permission_classes: ClassVar = [AllowAny]
    authentication_classes: ClassVar = []

    def post(self, request: Request) -> Response:
        return Response({"got": request.data})


class _Point(serializers.Serializer):
    x = serializers.IntegerField()


class _Shape(serializers.Serializer):
    name = serializers.CharField()
    points = _Point(many=True)


class Shape(Echo):
    def post(self, request: Request) -> Response:
        shape = _Shape(data=request.data)
        shape.is_valid(raise_exception=True)
        return Response(shape.data)


class Windowed(Echo):
    def get(self, request: Request) -> Response:
        window = read_window(request, default=20, maximum=200)
        page, sized = read_page(request, size_name="size", default=10, maximum=50, first=0)
        return Response([window.limit, window.offset, page, sized.offset])


FAILURES = {
    "404": Http404("x"),
    "403": PermissionDenied("x"),
    "413": RequestDataTooBig("x"),
    "429": exceptions.Throttled(wait=2.5),
    "limited": RateLimited(retry_after_s=1.2, queue_depth=7),
    "drf404": exceptions.NotFound(),
    "bug": ZeroDivisionError("x"),
}


class Failing(Echo):
    def get(self, request: Request, how: str) -> Response:
        raise FAILURES[how]


urlpatterns = [
    path("", include("podi.urls")),
    path("t/who", WhoAmI.as_view()),
    path("t/operators", ForOperators.as_view()),
    path("t/tasks", ForTasks.as_view()),
    path("t/echo", Echo.as_view()),
    path("t/shape", Shape.as_view()),
    path("t/windowed", Windowed.as_view()),
    path("t/fail/<str:how>", Failing.as_view()),
]
handler400 = envelope.handler400
handler404 = envelope.handler404
handler500 = envelope.handler500
