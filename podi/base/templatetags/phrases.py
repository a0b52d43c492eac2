"""`{% load phrases %}` and `{{ row.error_message|tell }}`: what is stored in English, in the reader's language."""

from django import template

from podi.base import phrases

register = template.Library()
register.filter("tell", phrases.tell)
