"""What is for sale, and the small tables of how it is paid."""

from __future__ import annotations

import datetime as dt

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.content import Content
from outfeed.demo_data.platform_data.people import CARD_TYPES
from outfeed.demo_data.platform_data.setting import Setting

PURCHASE, REFUND = 1, 2

_PRODUCTS_PER_GROUP = 2


def add_products(setting: Setting, content: Content) -> list[int]:
    """Adds a product group for each channel, with products of one and twelve months; gives their ids."""
    _add_look_ups(setting)
    chance, rows = setting.chance("products"), setting.rows
    products: list[int] = []
    for group, channel in enumerate(content.of_level("channel"), 1):
        rows.add(
            "product_groups",
            id=group,
            name=f"Kanal {group}",
            description=texts.description(chance),
            active=chance.random() < 0.9,
            **chance.changed(),
        )
        rows.add("product_group_access", product_group_id=group, category_id=channel.id)
        for months in (1, 12)[:_PRODUCTS_PER_GROUP]:
            product = len(products) + 1
            products.append(product)
            changes = chance.changed()
            rows.add(
                "products",
                id=product,
                product_group_id=group,
                product_provider_id=chance.randrange(1, 3),
                name=texts.title(chance),
                description=texts.description(chance),
                active=chance.random() < 0.9,
                **changes,
            )
            rows.add(
                "product_periods",
                id=product,
                product_id=product,
                price=f"{months * chance.choice((79, 99, 149.5)):.4f}",
                currency="NOK",
                months=months,
                valid_from=dt.date(2020, 1, 1),
                valid_to=chance.maybe(dt.date(2035, 12, 31), 0.3),
                **chance.changed(changes["created"]),
            )
    return products


def _add_look_ups(setting: Setting) -> None:
    add, chance = setting.rows.add, setting.chance("payment look-ups")
    for id_, name in enumerate(("Kort & Konto", "Faktura, AS"), 1):
        add(
            "payment_providers",
            id=id_,
            name=name,
            merchant_id=f"M-{id_:04}",
            merchant_secret=chance.secret(),
            active=True,
        )
        add("product_providers", id=id_, name=f"Provider {id_}")
    for id_ in range(1, CARD_TYPES + 1):
        add("payment_types", id=id_, name=("card", "invoice", "in-app")[id_ - 1])
        for provider in (1, 2):
            add(
                "payment_transaction_cuts",
                id=2 * id_ + provider,
                product_provider_id=provider,
                payment_type_id=id_,
                cut=f"0.{chance.randrange(1000, 4000)}",
            )
    add("payment_transaction_types", id=PURCHASE, name="purchase", sign=1)
    add("payment_transaction_types", id=REFUND, name="refund", sign=-1)
