"""JianYing's own names (filters, transitions, fonts ...), as the library lists them. Loading the lists takes 0.1 s, so
this module is only imported by those who read or make a draft.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any

import pyJianYingDraft as library

_DEFAULT_FONTS = frozenset({"默认", "默认字体", "系统", "系统字体", "default", "system"})
_STRENGTHS = frozenset({"强度", "强弱", "strength", "change_voice_param_strength"})
_PARAMETERS = {
    "scale": "effects_adjust_size",
    "position_x": "effects_adjust_horizontal_shift",
    "position_y": "effects_adjust_vertical_shift",
}


def find_filter(name: str) -> Any:
    return _find("filter", name, library.FilterType)


def find_transition(name: str) -> Any:
    return _find("transition", name, library.TransitionType)


def find_effect(name: str) -> Any:
    return _find("effect", name, library.VideoSceneEffectType, library.VideoCharacterEffectType)


def find_sound_effect(name: str) -> Any:
    return _find("sound effect", name, library.AudioSceneEffectType, library.ToneEffectType, library.SpeechToSongType)


def find_intro(name: str) -> Any:
    return _find("intro animation", name, library.IntroType)


def find_outro(name: str) -> Any:
    return _find("outro animation", name, library.OutroType)


def find_group(name: str) -> Any:
    return _find("group animation", name, library.GroupAnimationType)


def find_text_intro(name: str) -> Any:
    return _find("text intro", name, library.TextIntro)


def find_text_outro(name: str) -> Any:
    return _find("text outro", name, library.TextOutro)


def find_text_loop(name: str) -> Any:
    return _find("text loop", name, library.TextLoopAnim)


def find_font(name: str) -> Any:
    """None for the words that mean JianYing's own font."""
    return None if _fold(name) in _DEFAULT_FONTS else _find("font", name, library.FontType)


def effect_parameters(entry: Any, given: Mapping[str, float]) -> tuple[tuple[float | None, ...], tuple[str, ...]]:
    """The library's list of parameters (0 to 100, None for its default) and the names this effect does not have.

    `given` holds shares of 0 to 1. A name is one of the document's, or JianYing's with or without `effects_adjust_`.
    """
    known = [parameter.name for parameter in entry.value.params]
    values: list[float | None] = [None] * len(known)
    missing = []
    for name, share in given.items():
        wanted = (_PARAMETERS.get(name, name), f"effects_adjust_{name}")
        position = next((i for i, parameter in enumerate(known) if parameter in wanted), None)
        if position is None:
            missing.append(name)
        else:
            values[position] = share * 100
    return tuple(values), tuple(missing)


def sound_parameters(entry: Any, intensity: float) -> tuple[float | None, ...] | None:
    """The same for a sound effect and its strength (0 to 1); None where it has no strength."""
    known = [parameter.name for parameter in entry.value.params]
    if not any(name in _STRENGTHS for name in known):
        return None
    return tuple(intensity * 100 if name in _STRENGTHS else None for name in known)


def _find(what: str, name: str, *lists: type[Enum]) -> Any:
    for entries in lists:
        if (found := _by_name(entries).get(_fold(name))) is not None:
            return found
    near = difflib.get_close_matches(_fold(name), [key for entries in lists for key in _by_name(entries)], n=3)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise LookupError(f"JianYing has no {what} named {name}.{hint}")


@cache
def _by_name(entries: type[Enum]) -> dict[str, Enum]:
    return {_fold(entry.name): entry for entry in entries}


def _fold(name: str) -> str:
    return name.strip().lower().replace(" ", "").replace("_", "")
