"""Users with their sub-profiles, what they say of themselves, how they pay, and when they logged in."""

from __future__ import annotations

import dataclasses
import datetime as dt

from outfeed.demo_data.platform_data import texts
from outfeed.demo_data.platform_data.setting import Chance, Setting

FIRST_USER = 1001
CARD_TYPES = 3

_USERS = 40
_SIGN_UPS_PER_DAY = 5
_LOGINS_PER_DAY = 40
_NAMES = ("Åse", "Łukasz", "O'Neil", "Müller, Jr.", "健太", "Zoë", "Ann", "Per", 'Kim "K"', "")
_GENDERS = ("female", "female", "male", "male", "other", "", None)


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody with an account."""

    id: int
    registered: dt.datetime


def add_people(setting: Setting) -> list[User]:
    """Adds the users of the time before the first day, and those of each day."""
    chance = setting.chance("users")
    registered = [chance.before() for _ in range(_USERS * setting.scale)]
    for day in setting.days:
        registered += chance.moments(day, _SIGN_UPS_PER_DAY * setting.scale)
    people = [_add_user(setting, chance, FIRST_USER + number, at) for number, at in enumerate(registered)]
    _add_profiles(setting, people)
    _add_belongings(setting, people)
    _add_logins(setting, people)
    return people


def _add_user(setting: Setting, chance: Chance, id_: int, registered: dt.datetime) -> User:
    setting.known.sign_ups[registered.date()] += 1
    setting.rows.add(
        "users",
        id=id_,
        username=f"user{id_}",
        email=chance.maybe(f"user{id_}@example.com", 0.95),
        first_name=chance.choice(_NAMES),
        last_name=chance.maybe(chance.choice(_NAMES)),
        date_of_birth=chance.maybe(dt.date(1930, 1, 1) + dt.timedelta(days=chance.randrange(30_000))),
        country=chance.choice(("NO", "NO", "PL", "JP", None)),
        status=chance.choice(("verified", "verified", "unverified", "deleted")),
        password_hash=chance.secret(),
        activation_token=chance.secret(),
        registration_date=registered,
        updated=chance.changed(registered)["updated"],
    )
    return User(id_, registered)


def _add_profiles(setting: Setting, people: list[User]) -> None:
    chance, known = setting.chance("profiles"), setting.known
    profile = 0
    for user in people:
        for _ in range(chance.choice((0, 1, 1, 2, 4))):
            profile += 1
            gender = chance.choice(_GENDERS)
            known.profiles[gender] += 1
            known.profiles_of_user[user.id] += 1
            setting.rows.add(
                "users_profiles",
                subprofileid=profile,
                user_id=user.id,
                name=texts.title(chance),
                gender=gender,
                birth_year=chance.maybe(chance.randrange(1940, 2022)),
                pin_hash=chance.secret(),
                **chance.changed(chance.between(user.registered, setting.now)),
            )


def _add_belongings(setting: Setting, people: list[User]) -> None:
    """Adds metadata and payment methods."""
    chance, rows = setting.chance("belongings"), setting.rows
    method = 0
    for user in people:
        for name in chance.sample(("newsletter", "language", "note"), chance.randrange(3)):
            rows.add(
                "users_metadata",
                user_id=user.id,
                name=name,
                value=texts.title(chance),
                **chance.changed(user.registered),
            )
        if chance.random() < 0.7:
            method += 1
            rows.add(
                "users_payment_methods",
                id=method,
                user_id=user.id,
                payment_provider_id=chance.randrange(1, 3),
                payment_type_id=chance.randrange(CARD_TYPES) + 1,
                masked_number=chance.maybe(f"**** **** **** {chance.randrange(10_000):04}"),
                expires=chance.maybe(dt.date(2030, 1, 31)),
                card_token=chance.secret(),
                active=chance.random() < 0.9,
                **chance.changed(user.registered),
            )


def _add_logins(setting: Setting, people: list[User]) -> None:
    """Adds logins and logouts of each day, of users who are there by then."""
    chance = setting.chance("logins")
    number = 0
    for day in setting.days:
        for moment in chance.moments(day, _LOGINS_PER_DAY * setting.scale):
            number += 1
            event = "login" if number % 3 else "logout"
            if event == "login":
                setting.known.sign_ins[day] += 1
            setting.rows.add(
                "users_login_logout",
                id=number,
                user_id=people[chance.randrange(_USERS * setting.scale)].id,
                event=event,
                ip=chance.maybe(f"203.0.113.{chance.randrange(256)}"),
                platform=chance.choice(("web", "mobile", "tv")),
                session_token=chance.secret(),
                log_time=moment,
            )
