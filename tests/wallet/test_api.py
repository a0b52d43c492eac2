"""The wallet's doors: exact keys and codes, strict bodies, and whose account a caller may use."""

from itertools import pairwise

import pytest

from podi.base.models import User
from podi.base.services import issue_token
from tests.wallet.accounts import assert_sound, open_hold
from wallet import services as wallet
from wallet.models import Account, Hold, Transfer

pytestmark = pytest.mark.django_db

SERVICE = "invented-service-token-for-tests-only"


def freeze_body(owner: User, **other: object) -> dict:
    return {"userId": owner.pk, "taskId": "t_1", "action": "cut", "points": 120, "channel": "web-ui", **other}


def test_freeze_confirm_and_release_answer_in_the_contracts_keys(call, owner: User) -> None:
    status, frozen = call(owner, "POST freeze", freeze_body(owner))
    assert (status, frozen) == (200, {"holdId": f"hold_t_1_{owner.pk}", "balance": 380})
    assert call(owner, "POST confirm", {"holdId": frozen["holdId"]}) == (200, {"success": True, "deducted": 120})
    _, other = call(owner, "POST freeze", freeze_body(owner, taskId="t_2"))
    assert call(owner, "POST release", {"holdId": other["holdId"]}) == (
        200,
        {"success": True, "released": other["holdId"], "userId": owner.pk, "balance": 380},
    )
    assert_sound()


def test_every_call_may_be_repeated(call, owner: User) -> None:
    frozen = [call(owner, "POST freeze", freeze_body(owner)) for _ in range(3)]
    assert frozen[0] == frozen[1] == frozen[2]
    hold_id = frozen[0][1]["holdId"]
    confirmed = [call(owner, "POST confirm", {"holdId": hold_id, "points": 90}) for _ in range(3)]
    assert confirmed == [(200, {"success": True, "deducted": 90})] * 3
    _, other = call(owner, "POST freeze", freeze_body(owner, taskId="t_2"))
    released = [call(owner, "POST release", {"holdId": other["holdId"]}) for _ in range(3)]
    assert released[0] == released[1] == released[2]
    assert wallet.balance(owner.pk).available == 410
    assert_sound()


def test_action_and_channel_may_be_left_out(call, owner: User) -> None:
    assert call(owner, "POST freeze", {"userId": owner.pk, "taskId": "t_1", "points": 1})[0] == 200


def test_a_second_freeze_of_a_task_with_other_points_is_a_conflict(call, owner: User) -> None:
    call(owner, "POST freeze", freeze_body(owner))
    status, answer = call(owner, "POST freeze", freeze_body(owner, points=121))
    assert (status, answer["detail"]) == (409, "WALLET_HOLD_CONFLICT")
    assert wallet.balance(owner.pk).held == 120


def test_a_freeze_of_a_settled_task_does_not_pretend_to_hold(call, owner: User) -> None:
    _, frozen = call(owner, "POST freeze", freeze_body(owner))
    call(owner, "POST release", {"holdId": frozen["holdId"]})
    status, answer = call(owner, "POST freeze", freeze_body(owner))
    assert (status, answer["detail"], answer["state"]) == (409, "WALLET_HOLD_CONFLICT", "released")
    assert wallet.balance(owner.pk).held == 0


def test_too_few_points_are_402(call, owner: User) -> None:
    status, answer = call(owner, "POST freeze", freeze_body(owner, points=501))
    assert (status, answer["detail"], answer["retryable"]) == (402, "WALLET_INSUFFICIENT", False)
    assert not Hold.objects.exists()


def test_an_unknown_hold_is_404(call, owner: User) -> None:
    for what in ("POST confirm", "POST release"):
        status, answer = call(owner, what, {"holdId": "hold_x_y"})
        assert (status, answer["detail"]) == (404, "WALLET_HOLD_NOT_FOUND")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("points", 0),
        ("points", -5),
        ("points", "120"),
        ("points", 1.5),
        ("points", True),
        ("points", None),
        ("points", 10**12),
        ("taskId", 7),
        ("taskId", ""),
        ("taskId", "x" * 65),
        ("taskId", "a\u0000b"),
        ("action", ["cut"]),
        ("point", 5),
    ],
)
def test_a_wrong_body_is_refused_by_field_and_holds_nothing(call, owner: User, field: str, value: object) -> None:
    status, answer = call(owner, "POST freeze", freeze_body(owner, **{field: value}))
    assert (status, answer["detail"]) == (422, "INVALID_INPUT")
    assert list(answer["fields"]) == [field]
    assert not Hold.objects.exists()


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_body_that_is_no_object_is_refused(call, owner: User, body: object) -> None:
    assert call(owner, "POST freeze", body)[0] in (400, 422)


def test_nobody_enters_without_a_token(call, owner: User) -> None:
    for what in ("POST freeze", "GET transactions", "GET /api/op/v1/points/statistics"):
        status, answer = call(None, what, {"userId": owner.pk})
        assert (status, answer["detail"]) == (401, "AUTHORIZATION_REQUIRED")
    assert not Account.objects.exists()


def test_a_user_acts_only_on_the_own_account(call, owner: User) -> None:
    other = User.objects.create(username="bert")
    held = open_hold(owner, is_external=True, subject=("task", "t_1"))
    for user_id in (owner.pk, "nobody"):
        status, answer = call(other, "POST freeze", {"userId": user_id, "taskId": "t", "points": 1})
        assert (status, answer["detail"]) == (403, "WALLET_ACCOUNT_FORBIDDEN")
        for what in ("GET transactions", "GET statistics", "GET /api/os/v1/points/transactions"):
            assert call(other, what, {"userId": user_id})[0] == 403
        cost = {"userId": user_id, "action": "cut"}
        assert call(other, "POST /api/op/v1/img/points-cost", cost)[0] == 403
    for what in ("POST confirm", "POST release"):
        status, answer = call(other, what, {"holdId": held.reference})
        assert (status, answer["detail"]) == (404, "WALLET_HOLD_NOT_FOUND")
    assert wallet.balance(owner.pk).held == 10
    assert not Account.objects.filter(owner=other).exists()


def test_operators_and_the_service_token_act_on_any_account(call, owner: User, operator: User) -> None:
    for number, who in enumerate((operator, SERVICE)):
        status, frozen = call(who, "POST freeze", freeze_body(owner, taskId=f"t{number}", points=10))
        assert status == 200
        assert call(who, "POST confirm", {"holdId": frozen["holdId"]})[0] == 200
        assert call(who, "GET statistics", {"userId": owner.pk})[0] == 200
        status, answer = call(who, "GET statistics", {"userId": "nobody"})
        assert (status, answer["detail"]) == (404, "WALLET_ACCOUNT_NOT_FOUND")


def test_a_token_needs_the_scope_and_an_operators_token_admin_for_others(call, owner: User, operator: User) -> None:
    _, read_only = issue_token(operator, owner, name="reader", scopes=["wallet:read"])
    assert call(read_only, "GET statistics", {"userId": owner.pk})[0] == 200
    status, answer = call(read_only, "POST freeze", freeze_body(owner))
    assert (status, answer["detail"]) == (403, "TOKEN_SCOPE_MISSING")
    _, plain = issue_token(operator, operator, name="plain", scopes=["wallet:read", "wallet:write"])
    assert call(plain, "POST freeze", freeze_body(owner))[0] == 403
    assert not Hold.objects.exists()


def test_R26_nobody_settles_the_hold_of_a_task_at_the_door(call, owner: User, operator: User) -> None:
    """Else a user could take the points of a running task back and get its result for nothing."""
    held = open_hold(owner, points=100)
    for who in (owner, operator):
        for what in ("POST confirm", "POST release"):
            status, answer = call(who, what, {"holdId": held.reference})
            assert (status, answer["detail"]) == (409, "WALLET_HOLD_MANAGED")
    assert wallet.balance(owner.pk).held == 100


def test_R26_the_door_releases_to_the_holds_owner_whatever_its_id_spells(call) -> None:
    """R26: the hold of `team_7` goes back to `team_7`."""
    team, seven = User.objects.create(id="team_7", username="team"), User.objects.create(id="7", username="seven")
    _, frozen = call(team, "POST freeze", freeze_body(team))
    assert frozen["holdId"] == "hold_t_1_team_7"
    assert call(seven, "POST release", {"holdId": frozen["holdId"]})[0] == 404
    _, released = call(team, "POST release", {"holdId": frozen["holdId"]})
    assert (released["userId"], released["balance"]) == ("team_7", 500)
    assert wallet.balance("7").available == 500


def test_an_idempotency_key_is_refused_with_another_body(call, owner: User) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = call(owner, "POST freeze", freeze_body(owner), **key)
    assert call(owner, "POST freeze", freeze_body(owner), **key) == first
    status, answer = call(owner, "POST freeze", freeze_body(owner, taskId="t_2"), **key)
    assert (status, answer["detail"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert Hold.objects.count() == 1


def test_the_statement_has_the_contracts_keys_and_pages(call, owner: User, operator: User) -> None:
    call(owner, "POST freeze", freeze_body(owner))
    call(owner, "POST confirm", {"holdId": f"hold_t_1_{owner.pk}", "points": 100})
    wallet.grant(operator, owner_id=owner.pk, points=50, reason="invoice 12", key="12")
    status, answer = call(owner, "GET transactions", {"userId": owner.pk})
    assert (status, answer["total"], set(answer)) == (200, 3, {"total", "items"})
    newest, charge, gift = answer["items"]
    assert set(charge) == {
        "id",
        "changeType",
        "points",
        "beforeBalance",
        "afterBalance",
        "taskId",
        "description",
        "createdAt",
    }
    assert (charge["changeType"], charge["points"], charge["taskId"], charge["description"]) == (
        "DECREASE",
        -100,
        "t_1",
        "cut",
    )
    assert (newest["changeType"], newest["points"], newest["taskId"], newest["description"]) == (
        "INCREASE",
        50,
        None,
        "invoice 12",
    )
    assert charge["createdAt"].endswith("Z")
    for newer, older in pairwise([newest, charge, gift]):
        assert newer["beforeBalance"] == older["afterBalance"]
    second = call(owner, "GET transactions", {"userId": owner.pk, "page": 2, "pageSize": 2})[1]
    assert [row["id"] for row in second["items"]] == [gift["id"]]
    assert second["total"] == 3


@pytest.mark.parametrize(("name", "value"), [("page", "0"), ("page", "x"), ("pageSize", "0"), ("pageSize", "201")])
def test_paging_out_of_range_is_refused(call, owner: User, name: str, value: str) -> None:
    status, answer = call(owner, "GET transactions", {"userId": owner.pk, name: value})
    assert (status, list(answer["fields"])) == (422, [name])


def test_the_user_id_is_needed(call, owner: User) -> None:
    for what in ("GET transactions", "GET statistics", "GET /api/op/v1/points/statistics"):
        assert call(owner, what)[0] == 422


def test_statistics_are_real(call, owner: User, operator: User) -> None:
    wallet.grant(operator, owner_id=owner.pk, points=100, reason="paid", key="p")
    call(owner, "POST freeze", freeze_body(owner))
    assert call(owner, "GET statistics", {"userId": owner.pk}) == (
        200,
        {"totalPoints": 480, "tempPoints": 380, "frozenPoints": 120, "grantedToday": 600},
    )


@pytest.mark.parametrize("prefix", ["/api/op/v1", "/api/os/v1"])
def test_the_points_endpoints_answer_in_their_envelope_with_real_figures(call, owner: User, prefix: str) -> None:
    status, answer = call(
        owner, f"POST {prefix}/img/points-cost", {"userId": owner.pk, "action": "cut", "imagesCount": 101}
    )
    assert (status, answer) == (
        200,
        {
            "data": {
                "pointsPerImage": 5,
                "totalPointsCost": 505,
                "currentTempPoints": 500,
                "currentRechargePoints": 0,
                "currentTotalPoints": 500,
                "isSufficient": False,
            },
            "code": 0,
        },
    )
    status, answer = call(owner, f"GET {prefix}/points/statistics", {"userId": owner.pk})
    assert (status, set(answer), answer["code"]) == (200, {"data", "code"}, 0)
    assert set(answer["data"]) == {"userId", "totalPoints", "tempPoints", "rechargePoints", "updatedAt"}
    assert (answer["data"]["totalPoints"], answer["data"]["tempPoints"]) == (500, 500)
    assert answer["data"]["updatedAt"].endswith("Z")
    status, answer = call(owner, f"GET {prefix}/points/transactions", {"userId": owner.pk, "current": 1})
    assert (status, set(answer)) == (200, {"data", "total", "page", "size", "userId"})
    assert (answer["total"], answer["page"], answer["size"], answer["data"][0]["points"]) == (1, 1, 20, 500)
    assert call(owner, f"GET {prefix}/points/transactions", {"userId": owner.pk, "page": 2})[1]["data"] == []


def price_of(action: str) -> int | None:
    return {"cut": 12}.get(action)


def test_the_price_comes_from_the_quote_where_it_knows_the_action(call, owner: User, settings) -> None:
    settings.WALLET_POINTS_QUOTE = "tests.wallet.test_api.price_of"
    path = "POST /api/op/v1/img/points-cost"
    for action, images, price, total in (("cut", 3, 12, 36), ("other", 0, 5, 5)):
        body = {"userId": owner.pk, "action": action, "imagesCount": images}
        data = call(owner, path, body)[1]["data"]
        assert (data["pointsPerImage"], data["totalPointsCost"], data["isSufficient"]) == (price, total, True)


def test_only_operators_grant_and_refund(call, owner: User, operator: User) -> None:
    grant = {"userId": owner.pk, "points": 70, "reason": "invoice 12", "key": "12"}
    status, answer = call(owner, "POST grant", grant)
    assert (status, answer["detail"]) == (403, "ADMIN_ONLY")
    assert not Transfer.objects.exists()
    first = call(operator, "POST grant", grant)
    assert first[0] == 200
    assert call(operator, "POST grant", grant) == first
    status, answer = call(operator, "POST grant", {**grant, "points": 71})
    assert (status, answer["detail"]) == (409, "WALLET_TRANSFER_CONFLICT")
    call(owner, "POST freeze", freeze_body(owner))
    call(owner, "POST confirm", {"holdId": f"hold_t_1_{owner.pk}"})
    refund = {"holdId": f"hold_t_1_{owner.pk}", "points": 20, "reason": "blurred", "key": "r"}
    status, answer = call(operator, "POST refund", refund)
    assert (status, answer["points"], answer["taskId"]) == (200, 20, "t_1")
    back = {"transferId": first[1]["id"], "points": 70, "reason": "typo", "key": "b"}
    assert call(operator, "POST refund", back)[1]["points"] == -70
    assert call(operator, "POST refund", {"points": 1, "reason": "x", "key": "y"})[0] == 422
    assert wallet.balance(owner.pk).available == 400
    assert_sound()


def test_a_freeze_costs_a_known_number_of_queries(call, owner: User, django_assert_max_num_queries) -> None:
    wallet.ensure_account(owner.pk)
    with django_assert_max_num_queries(14):
        assert call(owner, "POST freeze", freeze_body(owner))[0] == 200
