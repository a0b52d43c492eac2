"""How the simulated ComfyUI judges a prompt: the same checks, words and oddities as the recorded versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Verdict = tuple[bool, dict[str, Any] | None, list[str], dict[str, Any]]
"""Valid or not, the error, the output nodes that will run, the errors by node."""


class Validator:
    """Judges prompts for one server: `is_new` is the behaviour of 0.25, else that of 0.3.64."""

    def __init__(self, definitions: dict[str, Any], folder: Path, *, is_new: bool) -> None:
        self.definitions = definitions
        self.folder = folder
        self.is_new = is_new

    def judge(self, prompt: Any, targets: list[str] | None = None) -> Verdict:
        """The verdict on a prompt. Raises like the real server (a bare 500) for what is no graph at all."""
        if isinstance(prompt, list) and self.is_new:
            raise TypeError("list has no keys")
        outputs = []
        for node_id in prompt:
            problem = self._check_class(node_id, prompt[node_id])
            if problem is not None:
                return False, problem, [], {}
            is_output = self.definitions[prompt[node_id]["class_type"]]["output_node"]
            if is_output and (targets is None or node_id in targets):
                outputs.append(node_id)
        if not outputs:
            return False, _error("prompt_no_outputs", "Prompt has no outputs"), [], {}
        return self._judge_outputs(prompt, outputs)

    def _check_class(self, node_id: str, node: Any) -> dict[str, Any] | None:
        place = f"Node ID '#{node_id}'"
        if "class_type" not in node:
            if self.is_new:
                message = (
                    f"Node 'ID #{node_id}' has no class_type. "
                    "The workflow may be corrupted or a custom node is missing."
                )
                extra = {"node_id": node_id, "class_type": None, "node_title": None}
                return _error("missing_node_type", message, place, extra)
            return _error("invalid_prompt", "Cannot execute because a node is missing the class_type property.", place)
        name = node["class_type"]
        if name in self.definitions:
            return None
        if not self.is_new:
            return _error("invalid_prompt", f"Cannot execute because node {name} does not exist.", place)
        title = node.get("_meta", {}).get("title", name)
        message = f"Node '{title}' not found. The custom node may not be installed."
        extra = {"node_id": node_id, "class_type": name, "node_title": title}
        return _error("missing_node_type", message, place, extra)

    def _judge_outputs(self, prompt: dict[str, Any], outputs: list[str]) -> Verdict:
        good: list[str] = []
        reasons: list[str] = []
        node_errors: dict[str, Any] = {}
        checked: dict[str, tuple[bool, list[Any]]] = {}
        for output in outputs:
            cycle = _find_cycle(prompt, output)
            if cycle:
                node_errors |= self._cycle_errors(prompt, cycle, output)
                continue
            try:
                is_valid, errors = self._check_node(prompt, output, checked)
            except (KeyError, IndexError, TypeError) as error:
                is_valid, errors = (
                    False,
                    [_exception("exception_during_validation", "Exception when validating node", error)],
                )
                checked[output] = (is_valid, errors)
            if is_valid:
                good.append(output)
                continue
            reasons += [f"{error['message']}: {error['details']}" for error in errors]
            _collect(prompt, checked, output, node_errors)
        if good:
            return True, None, good, node_errors
        message = "Prompt outputs failed validation"
        return False, _error("prompt_outputs_failed_validation", message, "\n".join(reasons)), [], node_errors

    def _cycle_errors(self, prompt: dict[str, Any], cycle: list[str], output: str) -> dict[str, Any]:
        if not self.is_new:
            return {}
        path = " -> ".join(f"{node} ({prompt[node]['class_type']})" for node in [*cycle, cycle[0]])
        return {
            node: {
                "errors": [
                    {
                        "type": "dependency_cycle",
                        "message": "Dependency cycle detected",
                        "details": path,
                        "extra_info": {"node_id": node, "cycle_nodes": cycle},
                    }
                ],
                "dependent_outputs": [output],
                "class_type": prompt[node]["class_type"],
            }
            for node in cycle
        }

    def _check_node(
        self, prompt: dict[str, Any], node_id: str, checked: dict[str, tuple[bool, list[Any]]]
    ) -> tuple[bool, list[Any]]:
        if node_id in checked:
            return checked[node_id]
        inputs = prompt[node_id]["inputs"]
        definition = self.definitions[prompt[node_id]["class_type"]]
        errors: list[Any] = []
        is_valid = True
        for section in ("required", "optional"):
            for name, spec in definition["input"].get(section, {}).items():
                if name not in inputs:
                    if section == "required":
                        errors.append(_input_error("required_input_missing", "Required input is missing", name, name))
                    continue
                if isinstance(inputs[name], list):
                    found, is_sound = self._check_link(prompt, inputs[name], name, spec, checked)
                    is_valid = is_valid and is_sound
                else:
                    found = self._check_literal(inputs, name, spec, definition["name"])
                errors += found
        checked[node_id] = (is_valid and not errors, errors)
        return checked[node_id]

    def _check_link(
        self, prompt: dict[str, Any], link: list[Any], name: str, spec: list[Any], checked: dict[str, Any]
    ) -> tuple[list[Any], bool]:
        if len(link) != 2:
            message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            return [_input_error("bad_linked_input", message, name, name, input_config=spec, received_value=link)], True
        origin = link[0]
        received = tuple(self.definitions[prompt[origin]["class_type"]]["output"])[link[1]]
        if received != spec[0]:
            details = f"{name}, received_type({received}) mismatch input_type({spec[0]})"
            message = "Return type mismatch between linked nodes"
            extra = {"input_config": spec, "received_type": received, "linked_node": link}
            return [_input_error("return_type_mismatch", message, details, name, **extra)], True
        try:
            return [], self._check_node(prompt, origin, checked)[0]
        except (KeyError, IndexError, TypeError) as error:
            problem = _exception("exception_during_inner_validation", "Exception when validating inner node", error)
            problem["extra_info"] |= {
                "input_name": name,
                "input_config": spec,
                "exception_message": str(error),
                "linked_node": link,
            }
            checked[origin] = (False, [problem])
            return [], False

    def _check_literal(self, inputs: dict[str, Any], name: str, spec: list[Any], class_type: str) -> list[Any]:
        kind, options = spec[0], spec[1] if len(spec) > 1 else {}
        value = inputs[name]
        if isinstance(value, dict) and "__value__" in value:
            value = inputs[name] = value["__value__"]
        convert = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}.get(
            kind if isinstance(kind, str) else ""
        )
        if convert is not None:
            try:
                value = inputs[name] = convert(value)
            except (TypeError, ValueError, OverflowError) as error:
                message = f"Failed to convert an input value to a {kind} value"
                extra = {"input_config": spec, "received_value": value, "exception_message": str(error)}
                return [_input_error("invalid_input_type", message, f"{name}, {value}, {error}", name, **extra)]
        if class_type.startswith("LoadImage") and name == "image":
            return self._check_image(value)
        return _check_range(value, name, spec, options) + self._check_choice(value, name, spec, options)

    def _check_image(self, value: str) -> list[Any]:
        """Whether the file exists; the empty name (a folder) and names that climb out pass, as they really do."""
        kind = next((kind for kind in ("input", "output", "temp") if value.endswith(f" [{kind}]")), "input")
        if (self.folder / kind / value.removesuffix(f" [{kind}]")).exists():
            return []
        details = f"image - Invalid image file: {value}"
        return [_input_error("custom_validation_failed", "Custom validation failed for node", details, "image")]

    def _check_choice(self, value: Any, name: str, spec: list[Any], options: dict[str, Any]) -> list[Any]:
        if isinstance(spec[0], list):
            choices = spec[0]
        elif spec[0] == "COMBO" and self.is_new:
            choices = options.get("options", [])
        else:
            return []
        if value in choices:
            return []
        is_long = len(choices) > 20
        shown = f"(list of length {len(choices)})" if is_long else str(choices)
        extra = {"input_config": None if is_long else spec, "received_value": value}
        return [
            _input_error("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {shown}", name, **extra)
        ]


def _check_range(value: Any, name: str, spec: list[Any], options: dict[str, Any]) -> list[Any]:
    extra = {"input_config": spec, "received_value": value}
    if "min" in options and value < options["min"]:
        message = f"Value {value} smaller than min of {options['min']}"
        return [_input_error("value_smaller_than_min", message, name, name, **extra)]
    if "max" in options and value > options["max"]:
        message = f"Value {value} bigger than max of {options['max']}"
        return [_input_error("value_bigger_than_max", message, name, name, **extra)]
    return []


def _find_cycle(prompt: dict[str, Any], start: str) -> list[str]:
    """A cycle that can be reached from this node, as node ids; empty where there is none."""
    done: set[str] = set()

    def walk(node_id: str, path: list[str]) -> list[str]:
        if node_id in path:
            return path[path.index(node_id) :]
        if node_id in done or node_id not in prompt:
            return []
        for value in prompt[node_id].get("inputs", {}).values():
            if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
                found = walk(value[0], [*path, node_id])
                if found:
                    return found
        done.add(node_id)
        return []

    return walk(start, [])


def _collect(prompt: dict[str, Any], checked: dict[str, Any], output: str, node_errors: dict[str, Any]) -> None:
    for node_id, (is_valid, errors) in checked.items():
        if not is_valid and errors:
            class_type = prompt[node_id]["class_type"] if node_id in prompt else None
            blank = {"errors": errors, "dependent_outputs": [], "class_type": class_type}
            node_errors.setdefault(node_id, blank)["dependent_outputs"].append(output)


def _error(kind: str, message: str, details: str = "", extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


def _input_error(kind: str, message: str, details: str, name: str, **extra: Any) -> dict[str, Any]:
    return _error(kind, message, details, {"input_name": name, **extra})


def _exception(kind: str, message: str, error: Exception) -> dict[str, Any]:
    extra = {"exception_type": type(error).__name__, "traceback": ["<traceback>"]}
    return _error(kind, message, str(error), extra)
