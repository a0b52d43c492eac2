"""Addresses of the abilities app."""

from django.urls import path

from abilities.api import abilities, definitions, drafts, log, tasks
from abilities.api.waiting import awaitable

urlpatterns = [
    path("api/abilities", abilities.AbilityListView.as_view()),
    path("api/abilities/options", abilities.AbilityOptionsView.as_view()),
    path("api/abilities/<str:ability_id>", abilities.AbilityDetailView.as_view()),
    path("api/abilities/<str:ability_id>/invoke", awaitable(abilities.InvokeView)),
    path("api/ability-tasks", awaitable(tasks.TaskListView)),
    path("api/ability-tasks/<str:task_id>", awaitable(tasks.TaskDetailView)),
    path("api/ability-tasks/<str:task_id>/cancel", tasks.TaskCancelView.as_view()),
    path("api/ability-tasks/<str:task_id>/retry", tasks.TaskRetryView.as_view()),
    path("api/ability-tasks/<str:task_id>/events", tasks.TaskEventsView.as_view()),
    path("api/draft/generate", drafts.DraftGenerateView.as_view()),
    path("api/draft/list", drafts.DraftListView.as_view()),
    path("api/draft/status/<str:draft_id>", drafts.DraftStatusView.as_view()),
    path("api/admin/abilities", definitions.AbilityDefinitionsView.as_view()),
    path("api/admin/abilities/options", definitions.AbilityDefinitionOptionsView.as_view()),
    path("api/admin/abilities/logs", log.LogListView.as_view()),
    path("api/admin/abilities/logs/export", log.LogExportView.as_view()),
    path("api/admin/abilities/logs/metrics", log.LogMetricsView.as_view()),
    path("api/admin/abilities/logs/<int:log_id>/resolve", log.LogResolveView.as_view()),
    path("api/admin/abilities/<str:ability_id>", definitions.AbilityDefinitionView.as_view()),
    path("api/admin/abilities/<str:ability_id>/logs", log.LogListView.as_view()),
]
