"""Bodies of the wallet's API in the contract's words (`freeze`, `taskId`, camelCase). Strict: types and names."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from wallet.ledger import MAX_POINTS
from wallet.models import Transfer


class TextField(serializers.CharField):
    """Text that is text already: 7 and true are refused, not turned into words."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class WholeField(serializers.IntegerField):
    """A whole number that is one already: "5", 5.0 and true are refused."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Body(serializers.Serializer[Any]):
    """A request body in which a field that nobody reads is an error, not a surprise."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError({name: [_("There is no such field.")] for name in sorted(unknown)})
        return super().to_internal_value(data)


class FreezeBody(Body):
    userId = TextField(max_length=64)
    taskId = TextField(max_length=64)
    points = WholeField(min_value=1, max_value=MAX_POINTS)
    action = TextField(max_length=64, required=False, allow_blank=True, default="")
    channel = TextField(max_length=64, required=False, allow_blank=True, default="")


class FreezeAnswer(serializers.Serializer[Any]):
    holdId = serializers.CharField()
    balance = serializers.IntegerField()


class ReleaseBody(Body):
    holdId = TextField(max_length=191)


class ConfirmBody(ReleaseBody):
    points = WholeField(
        min_value=0, max_value=MAX_POINTS, required=False, help_text=_("Take only these points; the rest is released.")
    )


class ConfirmAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    deducted = serializers.IntegerField()


class ReleaseAnswer(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    released = serializers.CharField(help_text=_("The hold's id."))
    userId = serializers.CharField()
    balance = serializers.IntegerField()


class TransferLine(serializers.ModelSerializer[Transfer]):
    """A row of the statement. Before and after count what is held too, so that each row continues the one before."""

    id = serializers.CharField()
    changeType = serializers.SerializerMethodField()
    points = serializers.IntegerField(source="signed_points", help_text=_("What came is positive, what went negative."))
    beforeBalance = serializers.IntegerField(source="owned_before")
    afterBalance = serializers.IntegerField(source="owned_after")
    taskId = serializers.SerializerMethodField()
    description = serializers.SerializerMethodField()
    createdAt = serializers.DateTimeField(source="created_at", default_timezone=UTC)

    class Meta:
        model = Transfer
        fields = (
            "id",
            "changeType",
            "points",
            "beforeBalance",
            "afterBalance",
            "taskId",
            "description",
            "createdAt",
        )

    def get_changeType(self, row: Transfer) -> str:
        return "INCREASE" if row.signed_points > 0 else "DECREASE"

    def get_taskId(self, row: Transfer) -> str | None:
        return row.subject_id or None

    def get_description(self, row: Transfer) -> str:
        return str(row.reason or row.action or row.get_kind_display())


class TransactionsAnswer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    items = TransferLine(many=True)


class StatisticsAnswer(serializers.Serializer[Any]):
    totalPoints = serializers.IntegerField(help_text=_("Free to use; what is frozen is already taken off."))
    tempPoints = serializers.IntegerField(help_text=_("Of these, what is left of gifts. Gifts are spent first."))
    frozenPoints = serializers.IntegerField()
    grantedToday = serializers.IntegerField()


class GrantBody(Body):
    userId = TextField(max_length=64)
    points = WholeField(min_value=1, max_value=MAX_POINTS)
    reason = TextField(max_length=255)
    key = TextField(max_length=128, help_text=_("Your own id of this grant: a repeat moves nothing more."))


class RefundBody(Body):
    """Name the hold whose charge is given back, or the transfer."""

    holdId = TextField(max_length=191, required=False)
    transferId = TextField(max_length=19, required=False)
    points = WholeField(min_value=1, max_value=MAX_POINTS)
    reason = TextField(max_length=255)
    key = TextField(max_length=128, help_text=_("Your own id of this refund: a repeat moves nothing more."))

    def validate_transferId(self, text: str) -> str:
        if not text.isascii() or not text.isdigit():
            raise serializers.ValidationError(_("The id of a transfer is a number."))
        return text

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("holdId" in attrs) == ("transferId" in attrs):
            raise serializers.ValidationError({"holdId": [_("Send either holdId or transferId.")]})
        return attrs


class CostBody(Body):
    userId = TextField(max_length=64)
    action = TextField(max_length=64)
    imagesCount = WholeField(min_value=0, max_value=100_000, required=False, default=1)


class CostData(serializers.Serializer[Any]):
    pointsPerImage = serializers.IntegerField()
    totalPointsCost = serializers.IntegerField()
    currentTempPoints = serializers.IntegerField()
    currentRechargePoints = serializers.IntegerField()
    currentTotalPoints = serializers.IntegerField()
    isSufficient = serializers.BooleanField()


class CostAnswer(serializers.Serializer[Any]):
    data = CostData()  # type: ignore[assignment]  # the contract's key hides DRF's property on the class only
    code = serializers.IntegerField()


class PointsData(serializers.Serializer[Any]):
    userId = serializers.CharField()
    totalPoints = serializers.IntegerField()
    tempPoints = serializers.IntegerField()
    rechargePoints = serializers.IntegerField()
    updatedAt = serializers.DateTimeField(default_timezone=UTC)


class PointsAnswer(serializers.Serializer[Any]):
    data = PointsData()  # type: ignore[assignment]  # as above
    code = serializers.IntegerField()


class PointsTransactionsAnswer(serializers.Serializer[Any]):
    data = TransferLine(many=True)  # type: ignore[assignment]  # as above
    total = serializers.IntegerField()
    page = serializers.IntegerField()
    size = serializers.IntegerField()
    userId = serializers.CharField()
