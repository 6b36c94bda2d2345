"""Fill the shelves, so that there is something to sell."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# The last one is scarce on purpose: ordering four of it shows the way back.
GOODS = [
    ("notebook", "Dotted notebook", 1250, 1000),
    ("pencils", "Twelve pencils", 890, 1000),
    ("lamp", "Reading lamp", 4900, 500),
    ("globe", "Desk globe", 7450, 200),
    ("telescope", "Brass telescope", 18900, 3),
]


def fill(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Put every product on its shelf."""
    shelves = apps.get_model("shop", "Product")._default_manager.using(editor.connection.alias)
    for sku, name, price_cents, stock in GOODS:
        shelves.get_or_create(sku=sku, defaults={"name": name, "price_cents": price_cents, "stock": stock})


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
