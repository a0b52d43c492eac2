import pytest


@pytest.mark.django_db
def test_the_tables_exist() -> None:
    from podi.base.models import User

    assert User.objects.count() == 0
