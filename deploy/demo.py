"""What `make demo` puts into an empty database: a simulated node, abilities, a client system, tasks of every kind."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from PIL import Image, ImageDraw

from abilities import services as abilities
from abilities.models import Ability, Task
from executors import services as executors
from executors.models import Executor, Workflow, WorkflowBinding
from podi.base import services as base
from podi.base.models import ApiToken, User

NODE_ID = "demo_comfyui"
CLIENT = "demo-shop"
COZE_ABILITY = "coze_demo_poster"
WORKFLOWS = Path(__file__).resolve().parent.parent / "executors" / "catalog" / "workflows"


def load_demo(operator: User) -> None:
    """The node, its workflows and a client once; tasks only while there are none. Workers run them after the start."""
    _ensure_node(operator, os.environ["PODI_DEMO_COMFYUI_URL"])
    _ensure_workflows(operator)
    _ensure_coze_ability(operator)
    client = _ensure_client(operator)
    if Task.objects.filter(owner=client).exists():
        return
    for ability_id, inputs in _calls():
        prepared = abilities.prepare(ability_id, abilities.Call(inputs=inputs, pictures=(_picture(len(inputs)),)))
        abilities.create_task(client, prepared, source=Task.Source.TASK)
    waiting = abilities.prepare("comfyui_image_scale", abilities.Call(inputs={"width": 300}, pictures=(_picture(3),)))
    abilities.cancel_task(client, abilities.create_task(client, waiting, source=Task.Source.TASK).task)


def _ensure_node(operator: User, url: str) -> None:
    """The simulator's port is another one after each start."""
    existing = Executor.objects.filter(pk=NODE_ID).first()
    if existing is None:
        values: executors.ExecutorChanges = {
            "name": "Demo node (simulated)",
            "type": "comfyui",
            "base_url": url,
            "status": "active",
            "max_concurrency": 2,
        }
        executors.create_executor(operator, values, executor_id=NODE_ID)
    elif existing.base_url != url:
        executors.update_executor(operator, existing, {"base_url": url})


def _ensure_workflows(operator: User) -> None:
    for path in sorted(WORKFLOWS.glob("*.json")):
        entry = json.loads(path.read_text())
        workflow_id = entry.pop("id")
        if not Workflow.objects.filter(pk=workflow_id).exists():
            executors.create_workflow(operator, entry, workflow_id=workflow_id)
        if not WorkflowBinding.objects.filter(workflow_id=workflow_id, executor_id=NODE_ID).exists():
            binding: executors.BindingChanges = {
                "action": entry["action"],
                "workflow_id": workflow_id,
                "executor_id": NODE_ID,
                "enabled": True,
            }
            executors.create_binding(operator, binding)


def _ensure_coze_ability(operator: User) -> None:
    """One that runs as a workflow on the simulated Coze; never on a real account."""
    if not _is_coze_simulated() or Ability.objects.filter(pk=COZE_ABILITY).exists():
        return
    abilities.create_ability(
        operator,
        ability_id=COZE_ABILITY,
        provider="coze",
        category="image_generation",
        capability_key="demo_poster",
        display_name="Coze · 海报（演示）",
        description="把一张图交给扣子工作流，得到一张海报。演示用，由模拟的扣子完成。",
        status="active",
        coze_workflow_id="7400000000000000001",
        input_schema={
            "fields": [
                {"name": "image_url", "type": "image", "label": "图片 Image", "required": True},
                {"name": "prompt", "type": "text", "label": "提示词 Prompt"},
            ]
        },
        metadata={"outputs": {"images": 1}},
    )


def _ensure_client(operator: User) -> User:
    client, is_new = User.objects.get_or_create(username=CLIENT)
    if is_new:
        client.set_unusable_password()
        client.save()
    if not ApiToken.objects.filter(user=client).exists():
        base.issue_token(operator, client, name="Demo shop", rate_per_minute=600)
    return client


def _is_coze_simulated() -> bool:
    """`deploy.run` gives the simulated Coze a token of this form."""
    return settings.COZE_API_TOKEN.startswith("demo_")


def _calls() -> Iterator[tuple[str, dict[str, object]]]:
    yield "podi_upscale_resize", {"max_long_edge": 1024}
    yield "podi_set_dpi", {"dpi": 300}
    yield "podi_expand_mask_color", {"expand_left": 40, "expand_right": 40}
    yield "podi_seamless_preview", {}
    yield "podi_print_readiness", {"width_mm": 200, "height_mm": 200}
    yield "comfyui_image_scale", {"width": 512, "height": 512}
    yield "comfyui_image_invert", {}
    if _is_coze_simulated():
        yield COZE_ABILITY, {"prompt": "a poster with red rings"}


def _picture(seed: int) -> str:
    """A print made on the spot: rings on a transparent ground, another colour for each seed."""
    image = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    colour = ((220, 60, 40, 255), (40, 90, 200, 255), (30, 150, 90, 255), (230, 160, 20, 255))[seed % 4]
    for ring in range(4):
        edge = 20 + ring * 45
        draw.ellipse((edge, edge, 400 - edge, 400 - edge), outline=colour, width=14)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
