"""How long files stay: rules by client and kind, legal holds, and what the admin lets operators do about it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from abilities.models import Ability, Task, TaskAsset
from media import services as media
from media.models import Asset, LegalHold, RetentionRule, UploadBlock, UploadKey
from podi.base.models import User
from tests.media import pictures
from tests.media.conftest import stored_files

pytestmark = pytest.mark.django_db(transaction=True)


def kept(owner: User | None, *, kind: str = "output", seed: int = 0, days: int = 10) -> Asset:
    """An asset that nobody asked for in so many days, and as old."""
    asset = media.keep(pictures.make(seed=seed), owner=owner, kind=kind)
    ago = timezone.now() - timedelta(days=days)
    Asset.objects.filter(pk=asset.pk).update(last_used_at=ago, created_at=ago)
    return asset


def rule(owner: User | None = None, kind: str = "", **days: int | None) -> RetentionRule:
    return RetentionRule.objects.create(owner=owner, kind=kind, **days)


def use(asset: Asset, owner: User) -> None:
    ability = Ability.objects.create(id="podi_probe", provider="podi", capability_key="probe", display_name="Probe")
    now = timezone.now()
    task = Task.objects.create(ability=ability, owner=owner, provider="podi", created_at=now, deadline_at=now)
    TaskAsset.objects.create(task=task, asset=asset, asset_type="output")


def test_the_most_particular_rule_counts(owner: User, stranger: User) -> None:
    rule(unused_days=30)
    rule(kind="upload", unused_days=5)
    rule(owner, unused_days=None)
    rule(owner, "input", unused_days=5)
    of_owner = {kind: kept(owner, kind=kind, seed=n) for n, kind in enumerate(("input", "output", "upload"))}
    of_stranger = {kind: kept(stranger, kind=kind, seed=n) for n, kind in enumerate(("input", "output", "upload"))}
    nobodys = kept(None, kind="upload", seed=9)
    assert media.sweep(timezone.now()).unused == 3
    left = set(Asset.objects.all())
    assert left == {of_owner["output"], of_owner["upload"], of_stranger["input"], of_stranger["output"]}
    assert nobodys not in left


def test_at_its_greatest_age_a_file_goes_although_a_task_refers_to_it(
    client: Client, owner: User, files_folder: Path
) -> None:
    asset, other = kept(owner, days=40), kept(owner, seed=1, days=5)
    use(asset, owner)
    link = media.url(asset)
    rule(owner, "output", unused_days=100, max_age_days=30)
    assert media.sweep(timezone.now()).too_old == 1
    asset.refresh_from_db()
    assert asset.removed_at is not None
    assert len(stored_files(files_folder)) == 1
    answer = client.get("/" + link.partition("://")[2].partition("/")[2])
    assert (answer.status_code, answer.json()["detail"]) == (410, "FILE_REMOVED")
    assert media.sweep(timezone.now()).too_old == 0
    assert list(media.find_orphans(timezone.now() + timedelta(days=3))) == []
    again = media.keep(pictures.make(), owner=owner)
    assert (again.pk, Asset.objects.get(pk=asset.pk).removed_at) == (asset.pk, None)
    with media.open_asset(again) as file:
        assert file.read(4) == b"\x89PNG"
    assert other in Asset.objects.all()


@pytest.mark.parametrize("whole_user", [False, True])
def test_a_legal_hold_is_stronger_than_every_rule(
    owner: User, operator: User, files_folder: Path, settings: Settings, whole_user: bool
) -> None:
    asset = kept(owner, days=400)
    rule(unused_days=1, max_age_days=1)
    hold = media.place_hold(
        operator, reason="case 1", asset=None if whole_user else asset, owner=owner if whole_user else None
    )
    swept = media.sweep(timezone.now())
    assert (swept.unused, swept.too_old) == (0, 0)
    assert not media.remove_asset(asset)
    assert len(stored_files(files_folder)) == 1
    assert media.release_hold(hold, actor=operator)
    assert not media.release_hold(hold, actor=operator)
    assert media.sweep(timezone.now()).unused == 1
    hold = LegalHold.objects.get()
    assert (hold.released_by, hold.asset, hold.owner, bool(hold.subject)) == ("op", None, None, True)
    assert stored_files(files_folder) == []


def test_orphans_of_a_held_user_stay(owner: User, operator: User, files_folder: Path) -> None:
    asset = kept(owner)
    key = asset.object_key
    Asset.objects.all().delete()
    media.place_hold(operator, reason="case 2", owner=owner)
    later = timezone.now() + timedelta(days=3)
    assert media.remove_orphans(later) == 0
    assert (files_folder / key).exists()


def test_a_hold_names_one_thing_and_two_general_rules_are_one_too_many(operator: User) -> None:
    with pytest.raises(ValueError, match="file or for a user"):
        media.place_hold(operator, reason="x")
    rule(unused_days=1)
    with pytest.raises(ValidationError):
        RetentionRule(unused_days=2).full_clean()
    with pytest.raises(ValidationError):
        RetentionRule(kind="input", max_age_days=0).full_clean()


def test_operators_hold_block_and_revoke_in_the_admin(client: Client, operator: User, owner: User) -> None:
    client.force_login(operator)
    asset = media.keep(pictures.make(), owner=owner)
    for model in ("asset", "upload", "uploadkey", "uploadblock", "retentionrule", "legalhold"):
        assert client.get(f"/admin/media/{model}/").status_code == 200
    assert client.post("/admin/media/legalhold/add/", {"reason": "case"}).status_code == 200
    assert client.post("/admin/media/legalhold/add/", {"reason": "case", "asset": asset.pk}).status_code == 302
    hold = LegalHold.objects.get()
    assert (hold.created_by, hold.asset) == ("op", asset)
    client.post("/admin/media/legalhold/", {"action": "release", "_selected_action": [hold.pk]})
    assert LegalHold.objects.get().released_at is not None

    key = media.issue_upload_key(owner, user_id=owner.pk)
    page = client.get("/admin/media/uploadkey/")
    assert key.text.encode() not in page.content
    client.post("/admin/media/uploadkey/", {"action": "revoke", "_selected_action": [UploadKey.objects.get().pk]})
    assert UploadKey.objects.get().revoked_at is not None

    assert client.post("/admin/media/uploadblock/add/", {"user": owner.pk, "reason": "spam"}).status_code == 302
    block = UploadBlock.objects.get()
    assert block.blocked_by == operator
    assert client.post(f"/admin/media/uploadblock/{block.pk}/delete/", {"post": "yes"}).status_code == 302
    assert UploadBlock.objects.count() == 0
    rule_page = {"owner": owner.pk, "kind": "upload", "unused_days": "3", "max_age_days": ""}
    assert client.post("/admin/media/retentionrule/add/", rule_page).status_code == 302
