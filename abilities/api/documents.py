"""Serializers that only describe answers, for the OpenAPI document. The answers themselves are made in
`abilities.results`; a test compares the two."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class AbilityDocument(serializers.Serializer[Any]):
    id = serializers.CharField()
    provider = serializers.CharField()
    category = serializers.CharField()
    capabilityKey = serializers.CharField()
    version = serializers.CharField()
    displayName = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    abilityType = serializers.CharField()
    workflowId = serializers.CharField(allow_null=True)
    executorId = serializers.CharField(allow_null=True)
    cozeWorkflowId = serializers.CharField(allow_null=True)
    defaultParams = serializers.DictField(allow_null=True)
    inputSchema = serializers.DictField(allow_null=True)
    jsonSchema = serializers.DictField()
    metadata = serializers.DictField(allow_null=True)
    requiresImage = serializers.BooleanField()
    supportsMultipleImages = serializers.BooleanField()
    maxOutputImages = serializers.IntegerField(allow_null=True)
    lastHealthCheckAt = serializers.DateTimeField(allow_null=True)
    lastHealthStatus = serializers.CharField(allow_null=True)
    successRate = serializers.FloatField(allow_null=True)


class OneAbilityDocument(AbilityDocument):
    versions = serializers.ListField(child=serializers.CharField(), help_text="What may be pinned, newest first.")


class AbilityListDocument(serializers.Serializer[Any]):
    items = AbilityDocument(many=True)


class AssetDocument(serializers.Serializer[Any]):
    ossUrl = serializers.CharField(help_text="Our own link; it expires and is signed anew at every reading.")
    storedUrl = serializers.CharField()
    ossKey = serializers.CharField()
    assetId = serializers.CharField()
    type = serializers.CharField(help_text="image, video or file")
    contentType = serializers.CharField()
    size = serializers.IntegerField(help_text="bytes")
    width = serializers.IntegerField(required=False, help_text="pixels")
    height = serializers.IntegerField(required=False, help_text="pixels")
    sha256 = serializers.CharField()
    tag = serializers.CharField(required=False)
    description = serializers.CharField(required=False)


class LinksDocument(serializers.Serializer[Any]):
    locals()["self"] = serializers.CharField()
    events = serializers.CharField()
    cancel = serializers.CharField()
    retry = serializers.CharField()


class InvokeDocument(serializers.Serializer[Any]):
    abilityId = serializers.CharField()
    provider = serializers.CharField()
    status = serializers.ChoiceField(["queued", "running", "succeeded"])
    requestId = serializers.CharField()
    taskId = serializers.CharField()
    logId = serializers.IntegerField(allow_null=True)
    durationMs = serializers.IntegerField(allow_null=True)
    images = AssetDocument(many=True)
    videos = AssetDocument(many=True)
    texts = serializers.ListField(child=serializers.CharField())
    assets = AssetDocument(many=True)
    metadata = serializers.DictField()
    raw = serializers.JSONField(required=False)
    progress = serializers.FloatField(required=False, help_text="0 to 1, while it is not done")
    pollAfterMs = serializers.IntegerField(required=False)
    queuePosition = serializers.IntegerField(required=False, allow_null=True)
    estimatedWaitMs = serializers.IntegerField(required=False, allow_null=True)
    links = LinksDocument(required=False)


class TaskDocument(serializers.Serializer[Any]):
    id = serializers.CharField()
    taskId = serializers.CharField()
    abilityId = serializers.CharField(allow_null=True)
    abilityName = serializers.CharField()
    abilityVersion = serializers.CharField()
    provider = serializers.CharField()
    capabilityKey = serializers.CharField()
    executorId = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["queued", "running", "succeeded", "failed", "cancelled"])
    progress = serializers.FloatField()
    logId = serializers.IntegerField(allow_null=True)
    requestId = serializers.CharField()
    durationMs = serializers.IntegerField(allow_null=True)
    requestPayload = serializers.DictField()
    resultPayload = serializers.DictField(allow_null=True)
    errorCode = serializers.CharField(allow_null=True)
    errorMessage = serializers.CharField(allow_null=True)
    callbackUrl = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField()
    retryOf = serializers.CharField(allow_null=True)
    priority = serializers.IntegerField()
    pricePoints = serializers.IntegerField()
    deadlineAt = serializers.DateTimeField()
    cancelRequestedAt = serializers.DateTimeField(allow_null=True)
    createdAt = serializers.DateTimeField()
    updatedAt = serializers.DateTimeField()
    startedAt = serializers.DateTimeField(allow_null=True)
    finishedAt = serializers.DateTimeField(allow_null=True)
    links = LinksDocument()
    pollAfterMs = serializers.IntegerField(required=False)
    queuePosition = serializers.IntegerField(required=False, allow_null=True)
    estimatedWaitMs = serializers.IntegerField(required=False, allow_null=True)


class TaskListDocument(serializers.Serializer[Any]):
    items = TaskDocument(many=True)


class TaskEventDocument(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    type = serializers.CharField()
    payload = serializers.DictField()
    createdAt = serializers.DateTimeField()


class TaskEventsDocument(serializers.Serializer[Any]):
    taskId = serializers.CharField()
    items = TaskEventDocument(many=True)


class DraftEntryDocument(serializers.Serializer[Any]):
    draft_id = serializers.CharField()
    project_name = serializers.CharField()
    folder_path = serializers.CharField(help_text="The draft's folder in the archive; empty until it is made.")


class DraftAcceptedEntryDocument(DraftEntryDocument):
    status = serializers.CharField()


class DraftAcceptedDocument(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="success: the drafts were accepted")
    message = serializers.CharField()
    draft_count = serializers.IntegerField()
    drafts = DraftAcceptedEntryDocument(many=True)
    timestamp = serializers.DateTimeField()
    taskId = serializers.CharField()
    ignoredInputs = serializers.ListField(child=serializers.CharField())


class DraftWarningDocument(serializers.Serializer[Any]):
    path = serializers.CharField(help_text="the place in the document")
    message = serializers.CharField()


class DraftMaterialsDocument(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    fetched = serializers.IntegerField()


class DraftErrorDocument(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    retryable = serializers.BooleanField()


class DraftStatusDocument(DraftEntryDocument):
    status = serializers.ChoiceField(choices=("pending", "processing", "completed", "failed"))
    created_at = serializers.DateTimeField()
    error_message = serializers.CharField(help_text="empty unless it failed")
    taskId = serializers.CharField()
    progress = serializers.FloatField(help_text="0 to 1")
    materials = DraftMaterialsDocument()
    durationUs = serializers.IntegerField(help_text="microseconds")
    downloadUrl = serializers.CharField(help_text="The archive; it expires and is signed anew at every reading.")
    warnings = DraftWarningDocument(many=True)
    error = DraftErrorDocument(required=False)
    pollAfterMs = serializers.IntegerField(required=False)


class DraftListEntryDocument(DraftEntryDocument):
    created_at = serializers.DateTimeField()
    downloadUrl = serializers.CharField()


class DraftListDocument(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    drafts = DraftListEntryDocument(many=True)
