"""Subscriptions in every state, what was paid for them, and who will leave."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.people import CARD_TYPES, User
from outfeed.demo_data.platform_data.products import PURCHASE, REFUND
from outfeed.demo_data.platform_data.setting import Chance, Setting

_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)
_INACTIVE_AFTER = 7 * _DAY
_MOST_PAYMENTS = 4

#: STATUS_ID: 0 is the document's; the others are ours.
_VALID, _PENDING, _UNPAID = 0, 1, 3
#: AUTORENEW_STATUS, both the document's.
_RENEWS, _STOPPED = 0, 2

#: How likely each kind is.
_KINDS = {
    "renewing": 45,
    "stopping": 13,
    "stopped": 17,
    "unpaid": 5,
    "future": 5,
    "pending": 5,
    "endless": 5,
    "ends now": 3,
    "starts now": 2,
}


@dataclasses.dataclass(frozen=True)
class Subscription:
    """A user's access to a product; whole seconds, as Oracle's DATE has them."""

    id: int
    user: int
    product: int
    registered: dt.datetime
    start: dt.datetime
    end: dt.datetime | None
    status: int = _VALID
    renewal: int = _RENEWS
    stopped: dt.datetime | None = None
    last_activity: dt.datetime | None = None

    def runs(self, now: dt.datetime) -> bool:
        """Whether the user has access."""
        return self.status == _VALID and self.start <= now and (self.end is None or self.end > now)


def add_subscriptions(setting: Setting, people: list[User], products: list[int]) -> list[Subscription]:
    """Adds subscriptions of most users, with payments, comments and what the churn model makes of them."""
    chance = setting.chance("subscriptions")
    made: list[Subscription] = []
    for user in people:
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            made.append(_subscription(setting, chance, user, len(made) + 1, chance.choice(products)))
    for each in made:
        _count(setting, each)
        _add_access(setting, chance, each)
    _add_payments(setting, made)
    _add_churn(setting, made)
    return made


def _subscription(setting: Setting, chance: Chance, user: User, id_: int, product: int) -> Subscription:
    now = setting.now
    registered = min(user.registered + chance.randrange(7200) * _SECOND, now - _SECOND).replace(microsecond=0)
    past = chance.between(registered, now).replace(microsecond=0)
    future = now + chance.randrange(1, 30) * _DAY + chance.randrange(86_400) * _SECOND
    plain = Subscription(
        id_,
        user.id,
        product,
        registered,
        start=registered,
        end=future,
        last_activity=chance.maybe(chance.between(registered, past).replace(microsecond=0), 0.9),
    )
    (kind,) = chance.choices(list(_KINDS), list(_KINDS.values()))
    changes: dict[str, dict[str, Any]] = {
        "renewing": {},
        "stopping": {"renewal": _STOPPED, "stopped": past},
        "stopped": {"renewal": _STOPPED, "stopped": past, "end": min(past + 30 * _DAY, now - _SECOND)},
        "unpaid": {"status": _UNPAID, "end": past},
        "future": {"start": future, "end": future + 30 * _DAY, "last_activity": None},
        "pending": {"status": _PENDING, "end": None, "last_activity": None},
        "endless": {"end": None},
        "ends now": {"end": now},
        "starts now": {"start": now},
    }
    return dataclasses.replace(plain, **changes[kind])


def _count(setting: Setting, each: Subscription) -> None:
    known = setting.known
    known.subscriptions[each.registered.date()] += 1
    if each.runs(setting.now):
        known.active_subscriptions["renewable" if each.renewal == _RENEWS else "stopped"] += 1
    if each.stopped is not None:
        known.stops[each.stopped.date()] += 1
        if each.last_activity is None or each.last_activity < each.stopped - _INACTIVE_AFTER:
            known.inactive_stops[each.stopped.date()] += 1


def _add_access(setting: Setting, chance: Chance, each: Subscription) -> None:
    rows = setting.rows
    updated = each.stopped or chance.changed(each.registered)["updated"]
    rows.add(
        "user_access",
        id=each.id,
        user_id=each.user,
        product_id=each.product,
        STATUS_ID=each.status,
        STARTDATE=each.start,
        ENDDATE=each.end,
        AUTORENEW_STATUS=each.renewal,
        user_stop_date=each.stopped,
        last_activity_date=each.last_activity,
        registered=each.registered,
        updated=updated and updated.replace(microsecond=0),
    )
    if chance.random() < 0.5:
        rows.add(
            "users_access_crm",
            user_access_id=each.id,
            crm_reference=chance.maybe(f"CRM-{each.id:06}"),
            crm_status=chance.choice(("synchronised", "waiting", "", None)),
            payload=chance.maybe(json.dumps({"note": texts.title(chance)}, ensure_ascii=False)),
            **chance.changed(each.registered),
        )
    if chance.random() < 0.2:
        rows.add(
            "users_access_comments",
            id=each.id,
            user_access_id=each.id,
            author=chance.maybe("support, second line"),
            comment=texts.description(chance),
            created=chance.between(each.registered, setting.now),
        )


def _add_payments(setting: Setting, subscriptions: list[Subscription]) -> None:
    """Adds a payment a month with its log; some fail at first, some are paid back."""
    chance, rows = setting.chance("payments"), setting.rows
    transaction = log = 0
    for each in subscriptions:
        last = min(each.end or setting.now, setting.now)
        paid_at = [
            at for number in range(_MOST_PAYMENTS) if (at := each.registered + 30 * number * _DAY) < last
        ]
        for at in paid_at if each.status != _PENDING else ():
            transaction += 1
            refund = chance.random() < 0.05
            amount = chance.choice((79, 99, 149.5)) * (-1 if refund else 1)
            rows.add(
                "payment_transactions",
                id=transaction,
                user_id=each.user,
                user_access_id=each.id,
                payment_provider_id=chance.randrange(1, 3),
                payment_type_id=chance.randrange(CARD_TYPES) + 1,
                payment_transaction_type_id=REFUND if refund else PURCHASE,
                amount=f"{amount:.4f}",
                vat=chance.maybe(f"{amount / 5:.4f}"),
                currency="NOK",
                receipt=chance.uuid(),
                card_token=chance.secret(),
                registered=at,
            )
            for status in ("failed", "paid") if chance.random() < 0.2 else ("paid",):
                log += 1
                rows.add(
                    "payment_status_log",
                    id=log,
                    payment_transaction_id=transaction,
                    status=status,
                    message=texts.title(chance) if status == "failed" else None,
                    logged=min(at + chance.randrange(3600) * _SECOND, setting.now - _SECOND),
                )


def _add_churn(setting: Setting, subscriptions: list[Subscription]) -> None:
    """Adds what the churn model learns from, and what it predicts of those who stay; a row for each user."""
    chance, rows = setting.chance("churn"), setting.rows
    for each in {each.user: each for each in subscriptions}.values():
        rows.add(
            "churn_training",
            user_id=each.user,
            days_subscribed=(setting.now - each.registered).days,
            logins=chance.randrange(200),
            days_since_activity=each.last_activity and (setting.now - each.last_activity).days,
            price_per_day=chance.maybe(chance.random() * 5),
            churned=each.stopped is not None,
        )
        if each.runs(setting.now):
            score = chance.randrange(10**10)
            rows.add(
                "churn_predict",
                user_id=each.user,
                predicted_on=setting.end - _DAY,
                score=f"0.{score:010}",
                risk_class="high" if score > 8 * 10**9 else "low",
            )
