"""Addresses of the Coze door (contract 1.11)."""

from django.urls import path

from coze_plugin import views

urlpatterns = [
    path("api/coze/podi/openapi.json", views.document),
    path("api/coze/podi/<str:group>/openapi.json", views.document),
    path("api/coze/podi/abilities", views.ability_list),
    path("api/coze/podi/tools/<str:provider>/<str:capability_key>", views.call_tool),
    path("api/coze/podi/tasks/get", views.get_task),
    path("api/coze/podi/comfyui/queue-summary", views.queue_summary),
]
