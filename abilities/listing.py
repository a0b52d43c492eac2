"""How an ability looks to callers (contract 1.9), whichever door lists it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abilities import schema
from abilities.models import Ability
from abilities.results import iso

_ROUTING_KEYS = frozenset({"allowed_executor_ids", "required_tags", "routing_policy", "fallback_to_default"})


def ability_item(ability: Ability) -> dict[str, Any]:
    """One item of `GET /api/abilities` (contract 1.9, camelCase)."""
    metadata = ability.metadata or {}
    most = metadata.get("max_output_images")
    most = most if isinstance(most, int) and not isinstance(most, bool) else None
    return {
        "id": ability.id,
        "provider": ability.provider,
        "category": ability.category,
        "capabilityKey": ability.capability_key,
        "version": ability.version,
        "displayName": ability.display_name,
        "description": ability.description or None,
        "status": ability.status,
        "abilityType": ability.ability_type,
        "workflowId": ability.workflow_id,
        "executorId": ability.executor_id,
        "cozeWorkflowId": ability.coze_workflow_id or None,
        "defaultParams": ability.default_params or None,
        "inputSchema": ability.input_schema or None,
        "jsonSchema": schema.json_schema(ability.input_schema),
        "metadata": public_metadata(metadata) or None,
        "requiresImage": bool(metadata.get("requires_image_input")),
        "supportsMultipleImages": bool(metadata.get("supports_multiple_outputs")) or (most or 0) > 1,
        "maxOutputImages": most,
        "lastHealthCheckAt": iso(ability.last_health_check_at),
        "lastHealthStatus": ability.last_health_status or None,
        "successRate": ability.success_rate,
    }


def public_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What of the metadata callers may see: not how calls are routed, nor to which nodes."""
    return {key: value for key, value in metadata.items() if key not in _ROUTING_KEYS}
