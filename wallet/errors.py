"""What the wallet refuses. The codes are the contract's; those it does not name are ours."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from podi.base.errors import PodiError


class WalletInsufficient(PodiError):
    code = "WALLET_INSUFFICIENT"
    status = 402
    fault = "caller"
    message = _("There are not enough points on this account. Ask an operator for more, or ask for less.")


class WalletHoldNotFound(PodiError):
    code = "WALLET_HOLD_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no such hold on an account you may use.")


class WalletHoldConflict(PodiError):
    code = "WALLET_HOLD_CONFLICT"
    status = 409
    fault = "caller"
    message = _("This hold exists with other terms, or was settled otherwise. Nothing was changed.")


class WalletHoldManaged(PodiError):
    code = "WALLET_HOLD_MANAGED"
    status = 409
    fault = "caller"
    message = _("This hold belongs to a task. PODI settles it when the task ends; cancel the task instead.")


class WalletTransferConflict(PodiError):
    code = "WALLET_TRANSFER_CONFLICT"
    status = 409
    fault = "caller"
    message = _("This key was used for another transfer. Nothing was moved; use a new key.")


class WalletRefundTooLarge(PodiError):
    code = "WALLET_REFUND_TOO_LARGE"
    status = 409
    fault = "caller"
    message = _("More would be given back than was moved. Ask for no more than what is left to refund.")


class WalletNotRefundable(PodiError):
    code = "WALLET_NOT_REFUNDABLE"
    status = 409
    fault = "caller"
    message = _("Nothing was taken by this hold or transfer that could be given back.")


class WalletTransferNotFound(PodiError):
    code = "WALLET_TRANSFER_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no such transfer.")


class WalletPointsInvalid(PodiError):
    code = "WALLET_POINTS_INVALID"
    status = 422
    fault = "caller"
    message = _("Points are whole numbers from 1 to 1000000000.")


class WalletReasonMissing(PodiError):
    code = "WALLET_REASON_MISSING"
    status = 422
    fault = "caller"
    message = _("Say why these points are moved: a transfer without a reason cannot be explained later.")


class WalletAccountNotFound(PodiError):
    code = "WALLET_ACCOUNT_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no such user, so there is no account.")


class WalletAccountForbidden(PodiError):
    code = "WALLET_ACCOUNT_FORBIDDEN"
    status = 403
    fault = "caller"
    message = _("You may use only your own account. Send your own user id.")


class WalletServiceUnavailable(PodiError):
    code = "WALLET_SERVICE_UNAVAILABLE"
    status = 503
    retryable = True
    fault = "podi"
    message = _("The wallet is busy. Nothing was changed; send the same request again.")


class WalletBroken(PodiError):
    code = "WALLET_BROKEN"
    status = 500
    fault = "podi"
    message = _("The account's figures contradict each other. Nothing was changed; an operator must run the audit.")


class TransferImmutable(PodiError):
    code = "WALLET_TRANSFER_IMMUTABLE"
    status = 500
    fault = "podi"
    message = _("A transfer is never changed or deleted. Correct it with a new one.")
