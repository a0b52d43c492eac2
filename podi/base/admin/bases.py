"""The bases of all admins: one that only shows, one that saves through services, and lists of very large tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from django.contrib import messages
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from podi.base.errors import PodiError
from podi.base.fields import EncryptedTextField
from podi.base.forms import WriteOnlyField, WriteOnlyInput
from podi.base.phrases import tell, tell_all

if TYPE_CHECKING:  # Django's own classes take type parameters only in their stubs
    _ModelAdmin = ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin, _Paginator = ModelAdmin, Paginator

COUNTED_ROWS: Final = 10_000


class BoundedPaginator(_Paginator):
    """Counts no further than 10 000 rows, so that a list of millions costs no full count; filters reach the rest."""

    @cached_property
    def count(self) -> int:
        if isinstance(self.object_list, QuerySet):
            return self.object_list.order_by()[:COUNTED_ROWS].count()
        return len(self.object_list)


class LargeTableMixin:
    """For tables that grow without end: mix in before the admin class."""

    paginator: Any = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50


class ReadOnlyAdmin(_ModelAdmin):
    """Shows rows and changes nothing; actions that call services may stand beside."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def run_each(
        self, request: HttpRequest, rows: Iterable[Any], command: Callable[[Any], Any], *, done: str | Promise
    ) -> int:
        """Call a service for every row. See `run_each` of this module."""
        return run_each(self, request, rows, command, done=done)


class ServiceAdmin(_ModelAdmin):
    """Saves through the app's service. A PodiError becomes an error of the form, never a server error.

    Write `save_through_service`. Deleting is off until `delete_through_service` is written too. Fields of the type
    EncryptedTextField are write-only by themselves.
    """

    formfield_overrides = {EncryptedTextField: {"form_class": WriteOnlyField, "widget": WriteOnlyInput}}

    def save_through_service(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> Model | None:
        """Call the service with what the form says; return the saved row if it is not `obj`. May raise PodiError."""
        raise NotImplementedError

    delete_through_service: Callable[[HttpRequest, Any], None] | None = None
    """`def delete_through_service(self, request, obj)`. May raise PodiError."""

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        saved = self.save_through_service(request, obj, form, change)
        if saved is not None and saved is not obj:
            obj.__dict__.update(saved.__dict__)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except PodiError as error:
            # The transaction is rolled back. The same page once more, its form now knowing what was refused.
            request.__dict__["podi_refusal"] = error
            for _name, files in request.FILES.lists():
                for file in files:
                    file.seek(0)
            return super().changeform_view(request, *args, **kwargs)

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        form_class = super().get_form(request, *args, **kwargs)
        error: PodiError | None = request.__dict__.get("podi_refusal")
        return form_class if error is None else _with_refusal(form_class, error)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changelist_view(request, *args, **kwargs)
        except PodiError as error:  # from a cell that is edited in the list
            self.message_user(request, tell(error.text), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.delete_through_service is not None and super().has_delete_permission(request, obj)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        if self.delete_through_service is not None:
            self.delete_through_service(request, obj)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **kwargs)
        except PodiError as error:
            self.message_user(request, tell(error.text), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path().removesuffix("/delete/") + "/change/")

    def get_actions(self, request: HttpRequest) -> Any:
        """Without Django's mass deletion, which would say that all went well after a refusal."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def run_each(
        self, request: HttpRequest, rows: Iterable[Any], command: Callable[[Any], Any], *, done: str | Promise
    ) -> int:
        """Call a service for every row. See `run_each` of this module."""
        return run_each(self, request, rows, command, done=done)


def run_each(
    model_admin: _ModelAdmin,
    request: HttpRequest,
    rows: Iterable[Any],
    command: Callable[[Any], Any],
    *,
    done: str | Promise,
) -> int:
    """An admin action over services: each refusal is told by row, the successes by `done` (with `%(count)d`).

    A command that returns False changed nothing and is not counted. Returns how many succeeded.
    """
    count = 0
    for row in rows:
        try:
            count += command(row) is not False
        except PodiError as error:
            model_admin.message_user(request, f"{row}: {tell(error.text)}", messages.ERROR)
    message: Any = done  # a lazy plural chooses its form when the count is filled in
    if count:
        model_admin.message_user(request, message % {"count": count}, messages.SUCCESS)
    else:
        model_admin.message_user(request, str(_("Nothing was changed.")), messages.WARNING)
    return count


def _with_refusal(form_class: Any, error: PodiError) -> Any:
    """The form class whose `clean` repeats the refusal, at the fields it names where the form has them."""

    class RefusedForm(form_class):  # type: ignore[misc]
        def clean(self) -> Any:
            cleaned = super().clean()
            told = tell_all(error.fields)
            known = {name: text for name, text in told.items() if name in self.fields}
            for name, text in known.items():
                self.add_error(name, text)
            others = [f"{name}: {text}" for name, text in told.items() if name not in known]
            if others or not known:
                self.add_error(NON_FIELD_ERRORS, " ".join([tell(error.text), *others]))
            return cleaned

    return RefusedForm
