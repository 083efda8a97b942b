"""Vouchers: the old ones, and those of the voucher service with its campaigns, pools and redemptions."""

from __future__ import annotations

import datetime as dt

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.setting import Setting
from outfeed.demo_data.platform_data.subscriptions import Subscription

_POOLS_PER_CAMPAIGN = 2
_VOUCHERS_PER_POOL = 10
_REDEMPTIONS_PER_DAY = 4
_OLD_VOUCHERS = 10
_DAY = dt.timedelta(days=1)


def add_vouchers(setting: Setting, products: list[int], subscriptions: list[Subscription]) -> None:
    """Adds both kinds."""
    _add_old(setting, products, subscriptions)
    _add_products(setting, products)
    vouchers: list[str] = []
    for campaign in range(1, 3 + setting.scale):
        _add_campaign(setting, campaign, products)
        vouchers += _add_pools(setting, campaign)
    _add_redemptions(setting, vouchers, subscriptions)


def _add_old(setting: Setting, products: list[int], subscriptions: list[Subscription]) -> None:
    chance = setting.chance("old vouchers")
    for id_ in range(1, _OLD_VOUCHERS * setting.scale + 1):
        setting.rows.add(
            "vouchers",
            id=id_,
            code=f"{chance.randrange(16**8):08X}",
            product_id=chance.choice(products),
            user_id=chance.maybe(chance.choice(subscriptions).user, 0.4),
            valid_from=dt.date(2024, 1, 1),
            valid_to=chance.maybe(dt.date(2030, 12, 31)),
            **chance.changed(),
        )


def _add_products(setting: Setting, products: list[int]) -> None:
    chance = setting.chance("voucher products")
    for product in products:
        setting.rows.add(
            "vvs_products",
            id=product,
            product_id=product,
            external_reference=chance.maybe(f"sku,{product}"),
            **chance.changed(),
        )


def _add_campaign(setting: Setting, campaign: int, products: list[int]) -> None:
    chance, rows = setting.chance(f"campaign {campaign}"), setting.rows
    starts = chance.before()
    percentage = chance.random() < 0.5
    rows.add(
        "vvs_discounts",
        id=campaign,
        name=texts.title(chance),
        percentage=f"{chance.randrange(5, 100)}.5000" if percentage else None,
        amount=None if percentage else "50.0000",
        currency=None if percentage else "NOK",
        **chance.changed(),
    )
    rows.add(
        "vvs_campaigns",
        id=campaign,
        name=texts.title(chance),
        starts=starts,
        ends=chance.maybe(starts + 90 * _DAY),
        discount_id=chance.maybe(campaign),
        **chance.changed(starts),
    )
    for product in sorted(chance.sample(products, 3)):
        rows.add("vvs_campaign_products", campaign_id=campaign, product_id=product, **chance.changed(starts))


def _add_pools(setting: Setting, campaign: int) -> list[str]:
    chance, rows = setting.chance(f"pools {campaign}"), setting.rows
    vouchers = []
    for number in range(1, _POOLS_PER_CAMPAIGN + 1):
        pool = (campaign - 1) * _POOLS_PER_CAMPAIGN + number
        rows.add(
            "vvs_pools",
            id=pool,
            campaign_id=campaign,
            name=texts.title(chance),
            size=_VOUCHERS_PER_POOL,
            **chance.changed(),
        )
        for _ in range(_VOUCHERS_PER_POOL):
            vouchers.append(chance.uuid())
            rows.add(
                "vvs_vouchers",
                id=vouchers[-1],
                pool_id=pool,
                code=f"{chance.randrange(10**10):010}",
                max_redemptions=chance.choice((1, 1, 100)),
                expires=chance.maybe(setting.now + 100 * _DAY),
                **chance.changed(),
            )
    return vouchers


def _add_redemptions(setting: Setting, vouchers: list[str], subscriptions: list[Subscription]) -> None:
    chance = setting.chance("redemptions")
    number = 0
    for day in setting.days:
        for moment in chance.moments(day, _REDEMPTIONS_PER_DAY * setting.scale):
            number += 1
            subscription = chance.choice(subscriptions)
            setting.rows.add(
                "vvs_voucher_redemptions",
                id=number,
                voucher_id=chance.choice(vouchers),
                user_id=subscription.user,
                user_access_id=chance.maybe(subscription.id),
                redeemed=moment,
            )
