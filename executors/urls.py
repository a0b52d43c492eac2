"""Addresses of the staff API for executors, workflows, bindings and API keys."""

from django.urls import path

from executors.api import executors, nodes, workflows

urlpatterns = [
    path("api/admin/executors", executors.ExecutorsView.as_view()),
    path("api/admin/executors/<str:executor_id>", executors.ExecutorView.as_view()),
    path("api/admin/executors/<str:executor_id>/test", executors.ExecutorTestView.as_view()),
    path("api/admin/executors/<str:executor_id>/drain", executors.ExecutorDrainView.as_view()),
    path("api/admin/executors/<str:executor_id>/resume", executors.ExecutorResumeView.as_view()),
    path("api/admin/api-keys", executors.ApiKeysView.as_view()),
    path("api/admin/api-keys/<str:key_id>", executors.ApiKeyView.as_view()),
    path("api/admin/workflows", workflows.WorkflowsView.as_view()),
    path("api/admin/workflows/<str:workflow_id>", workflows.WorkflowView.as_view()),
    path("api/admin/workflows/<str:workflow_id>/revisions", workflows.WorkflowRevisionsView.as_view()),
    path("api/admin/workflow-bindings", workflows.BindingsView.as_view()),
    path("api/admin/workflow-bindings/<str:binding_id>", workflows.BindingView.as_view()),
    path("api/admin/comfyui/models", nodes.NodeModelsView.as_view()),
    path("api/admin/comfyui/queue-status", nodes.QueueStatusView.as_view()),
    path("api/admin/comfyui/queue-summary", nodes.QueueSummaryView.as_view()),
    path("api/admin/comfyui/system-stats", nodes.SystemStatsView.as_view()),
]
