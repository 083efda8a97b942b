"""Customers' files: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from outfeed.config.advice import advice
from outfeed.config.document import Document
from outfeed.config.load import customer_name, load_config, parse_config, parse_document
from outfeed.config.models import MAX_SPAN_DAYS
from outfeed.config.problems import InvalidConfigError
from outfeed.config.schema import json_schema
from outfeed.config.work_orders import WorkOrdersConfig
from outfeed.connectors import CONNECTORS
from outfeed.connectors.base import FilenameStyle
from outfeed.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "dags" / "customers").glob("*.yaml"))
SITE = "433a60f6-9756-473e-b1e9-9e89e24bb787"
OTHER_SITE = "5b0c7d52-41f0-4b1c-9a7e-6f8e2d9c3a10"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1dYRNWdSUcQQFGsS0IVxDHvZH2mAR9HRbKt0jBOqm5"

LOCAL = {"name": "archive", "type": "local", "path": "acme/production"}
GCS = {"name": "bucket", "type": "gcs", "storage_uri": "gs://acme-exports/production/"}
SFTP = {
    "name": "server",
    "type": "sftp",
    "sftp_host": "sftp.acme.example",
    "sftp_remote_path": "/outfeed/production",
    "username": "outfeed",
    "host_public_key": HOST_KEY,
    "connection": "acme_sftp",
}


def document(**changes: Any) -> dict[str, Any]:
    """A customer's file as plain data; a change to None removes the key."""
    base: dict[str, Any] = {
        "type": "work-orders",
        "interval": "daily",
        "source": {"connection": "platform_db"},
        "site_id": [SITE],
        "destinations": [LOCAL],
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


START = dt.date(2026, 3, 1)
#: What a work-orders file needs besides its type.
REST = f"""\
interval: daily
source: {{connection: platform_db}}
site_id: [{SITE}]
destinations: [{{name: archive, type: local, path: acme/production}}]
"""
#: What a message lists.
KNOWN = ", ".join(sorted(CONNECTORS))


def parse(**changes: Any) -> WorkOrdersConfig:
    config = parse_config(yaml.safe_dump(document(**changes), sort_keys=False), "acme.yaml")
    assert isinstance(config, WorkOrdersConfig)
    return config


def destination(base: dict[str, Any], **changes: Any) -> Any:
    merged = {key: value for key, value in (base | changes).items() if value is not None}
    return parse(destinations=[merged]).destinations[0]


def refused(text: str | None = None, **changes: Any) -> list[str]:
    """The messages for a file that must be refused, one per problem, without the file's name."""
    content = yaml.safe_dump(document(**changes), sort_keys=False) if text is None else text
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(content, "acme.yaml")
    assert caught.value.problems
    lines = caught.value.what.split("\n")
    assert [f"acme.yaml:{problem}" for problem in caught.value.problems] == lines
    return [re.sub(r"^acme\.yaml:\d+:\d+: ", "", line) for line in lines]


def refused_destination(base: dict[str, Any], **changes: Any) -> list[str]:
    merged = {key: value for key, value in (base | changes).items() if value is not None}
    return refused(destinations=[merged])


# -- the fields of document 000


def test_one_or_more_sites() -> None:
    # DX-010
    assert parse().site_id == (UUID(SITE),)
    assert parse(site_id=[SITE, OTHER_SITE]).site_id == (UUID(SITE), UUID(OTHER_SITE))
    assert refused(site_id=[]) == ["site_id: at least 1 item, not []"]
    assert refused(site_id=SITE) == [f"site_id: this must be a list, not '{SITE}' (write [{SITE}])"]
    assert refused(site_id=None) == ["the key 'site_id' is missing"]
    assert refused(site_id=[SITE, SITE.upper()]) == [f"the site {SITE} is named twice"]
    hint = f"(write it like {SITE})"
    # The id in the tree of document 000 is no UUID.
    assert refused(site_id=[SITE, "13ead234c-8236-4sfa-b748-sdfb409cfe5"]) == [
        f"site_id: '13ead234c-8236-4sfa-b748-sdfb409cfe5' is not a UUID {hint}"
    ]


def test_export_type() -> None:
    # DX-011
    for value in ("work-orders-states", "work-orders-timeline"):
        assert parse(export_type=value).export_type == value
    assert refused(export_type="work-orders-state") == [
        "export_type: 'work-orders-state' is not 'work-orders-timeline' or 'work-orders-states' "
        "(did you mean 'work-orders-states'?)"
    ]


def test_the_timeline_is_the_default() -> None:
    # DX-012 D14
    assert parse().export_type == "work-orders-timeline"


def test_the_only_file_format_is_json() -> None:
    # DX-002 DX-013
    assert parse().file_format == "json"
    assert parse(file_format="json").file_format == "json"
    assert refused(file_format="csv") == ["file_format: 'csv' is not 'json'"]


def test_intervals() -> None:
    # DX-014 D13
    for value in ("daily", "weekly", "monthly"):
        rule = parse(interval=value, time_zone="Europe/Paris").rule
        assert rule is not None
        assert rule.time_zone == "Europe/Paris"
    once = parse(interval="once", start_date=dt.date(2026, 3, 1), end_date=dt.date(2026, 3, 2))
    assert once.rule is None
    assert refused(interval="hourly") == ["interval: 'hourly' is not 'once', 'daily', 'weekly' or 'monthly'"]
    custom = parse(interval=None, cron="30 2 * * 1-5").rule
    assert custom is not None
    assert custom.cron == "30 2 * * 1-5"
    assert refused(interval=None) == ["give one of interval and cron"]
    assert refused(cron="0 0 * * *") == ["give only one of interval and cron"]
    for cron in ("0 0 * *", "0 0 * * * *", "61 0 * * *", "@daily"):
        assert refused(interval=None, cron=cron) == [f"cron: {cron!r} is no cron expression of five fields"]


def test_a_cron_that_never_happens_is_refused() -> None:
    for cron in ("0 0 30 2 *", "0 0 31 2,4 *", "0 0 29 2 1#1"):
        assert refused(interval=None, cron=cron) == [f"cron: {cron!r} never happens: no year has such a day"]
    for cron in ("0 0 29 2 *", "0 0 31 2 1", "0 0 L 2 *", "0 0 31 * *"):
        assert parse(interval=None, cron=cron).cron == cron


def test_a_cron_that_is_drawn_by_lot_is_refused() -> None:
    # XX-02
    for cron in ("R 0 * * *", "0 R(0-5) * * *", "0 0 * * r"):
        (problem,) = refused(interval=None, cron=cron)
        assert "the same bounds in each try" in problem or "no cron expression" in problem
    assert parse(interval=None, cron="0 0 * MAR,APR FRI").cron == "0 0 * MAR,APR FRI"


def test_days_lie_in_years_that_calendars_have() -> None:
    for day in (dt.date(1, 1, 1), dt.date(1899, 12, 31), dt.date(3000, 1, 1), dt.date.max):
        message = f"{day.isoformat()} lies outside the years 1900 to 2999"
        assert refused(start_date=day, time_zone="Europe/Paris") == [f"start_date: {message}"]
        assert f"end_date: {message}" in refused(interval="once", start_date=START, end_date=day)
    assert parse(start_date=dt.date(2999, 12, 31)).first_instant is not None


def test_a_one_time_export_has_one_window() -> None:
    # DX-017
    config = parse(
        interval="once",
        start_date=dt.date(2026, 3, 28),
        end_date=dt.date(2026, 3, 30),
        time_zone="Europe/Paris",
    )
    window = config.once_window
    assert window is not None
    assert window.start == dt.datetime(2026, 3, 27, 23, tzinfo=dt.UTC)
    # The clock goes forward on the 29th.
    assert window.end == dt.datetime(2026, 3, 29, 22, tzinfo=dt.UTC)
    assert parse().once_window is None
    needed = ["interval 'once' needs start_date and end_date"]
    assert refused(interval="once") == needed
    assert refused(interval="once", start_date=dt.date(2026, 3, 1)) == needed
    assert refused(end_date=dt.date(2026, 3, 1)) == ["end_date has a meaning only with interval 'once'"]
    assert refused(interval="once", start_date=dt.date(2026, 3, 1), end_date=dt.date(2026, 3, 1)) == [
        "end_date is not included and must be after start_date"
    ]


def test_a_one_time_export_may_not_span_too_much() -> None:
    # DX-020 D34
    start = dt.date(2026, 1, 1)
    longest = start + dt.timedelta(days=MAX_SPAN_DAYS)
    assert parse(interval="once", start_date=start, end_date=longest).end_date == longest
    assert refused(interval="once", start_date=start, end_date=longest + dt.timedelta(days=1)) == [
        "a one-time export spans at most 400 days, not 401: "
        "use an interval and a backfill, which delivers one file per interval"
    ]


def test_connectors_go_by_their_type() -> None:
    # DX-015
    for base in (GCS, LOCAL, SFTP):
        assert destination(base).type == base["type"]
    for written, meant in (("GCP", "gcs"), ("GCP connector", "gcs"), ("gcs", "gcs")):
        assert destination(GCS, type=None, connector_type=written).type == meant
    assert destination(SFTP, type=None, connector_type="SFTP connector").type == "sftp"


def test_an_option_under_two_of_its_names_is_refused() -> None:
    # DX-015
    assert refused_destination(SFTP, ftp_remote_directory="/other") == [
        "'ftp_remote_directory' is given under another name, too "
        "(keep one of: ftp_remote_directory, sftp_remote_path)"
    ]


def test_an_unknown_connector_is_refused_with_the_known_ones() -> None:
    # DX-015
    known = f"; the known ones are {KNOWN}"
    assert refused_destination(SFTP, type="stfp") == [f"unknown type 'stfp'{known} (did you mean 'sftp'?)"]
    assert refused_destination({"name": "mail"}) == [
        f"the key 'type' is missing in item 1 of 'destinations' (known: {KNOWN})"
    ]


def test_the_keys_of_another_connector_are_refused() -> None:
    # DX-016
    (problem,) = refused_destination(LOCAL, sftp_host="sftp.acme.example")
    assert problem.startswith(
        "unknown key 'sftp_host' (known: delivery, encryption, export_images, filename_style, name, parallel"
    )
    (problem,) = refused_destination(GCS, sftp_port=22)
    assert problem.startswith("unknown key 'sftp_port'")
    (problem,) = refused_destination(SFTP, storage_uri="gs://acme-exports/x")
    assert problem.startswith("unknown key 'storage_uri'")


def test_an_export_is_off_until_it_is_live() -> None:
    # DX-005
    assert parse().state == "draft"
    assert parse(state="live").state == "live"
    assert refused(state="on") == ["state: 'on' is not 'draft' or 'live'"]


def test_mail_addresses() -> None:
    # DX-044
    good = ["bi@acme.example", "o'brien+exports@sub.acme-telecom.co.uk", "x@xn--bcher-kva.example"]
    assert parse(notify={"customer": good}).notify.customer == tuple(good)
    for bad in (
        "acme.example",
        "bi@acme",
        "bi@@acme.example",
        "a b@acme.example",
        "bi@acme..example",
        ".a@b.example",
    ):
        assert refused(notify={"operators": [bad]}) == [f"operators: {bad!r} is not an e-mail address"]
    assert refused(notify={"customer": ["x" * 65 + "@acme.example"]}) != []


@given(st.emails())
def test_every_ordinary_mail_address_is_accepted(address: str) -> None:
    # DX-044
    assert parse(notify={"customer": [address]}).notify.customer == (address,)


MAIL = {"name": "mail", "type": "email", "emails": ["bi@acme.example"]}


def test_a_mail_with_a_link_brings_no_images() -> None:
    # DX-043, D26
    (problem,) = refused_destination(MAIL, export_images=True)
    assert problem.startswith("export_images: a link in a mail gives no access to images")
    assert "destination of type sftp, gcs or s3" in problem
    assert destination(MAIL, export_images=False).emails == ("bi@acme.example",)


def test_a_mail_with_a_link_goes_to_valid_addresses_that_differ() -> None:
    # DX-044
    for bad in ("nobody", "bi@acme", "bi@@acme.example"):
        assert refused_destination(MAIL, emails=["ok@acme.example", bad]) == [
            f"emails: {bad!r} is not an e-mail address"
        ]
    assert refused_destination(MAIL, emails=["bi@acme.example", "BI@acme.example"]) == [
        "emails: 'BI@acme.example' is named twice"
    ]
    assert refused_destination(MAIL, emails=[]) != []
    assert refused_destination(MAIL, emails=None) == [
        "the key 'emails' is missing in item 1 of 'destinations'"
    ]


def test_a_mail_destination_has_the_documents_names() -> None:
    # DX-015, DX-030, D1
    for written in ("email", "Email connector", "email_link"):
        assert destination(MAIL, type=None, connector_type=written).type == "email"


def test_the_store_of_links_is_a_folder_or_a_bucket_without_password() -> None:
    for good in ("links", "/srv/links", "file:///srv/links", "s3://store@bucket/links", "gs://bucket"):
        assert destination(MAIL, storage_uri=good + "/").store == good
    for bad in ("ftp://x/y", "s3://a b@c/d", "a/../b", "s3://", "gs://bucket/*"):
        (problem,) = refused_destination(MAIL, storage_uri=bad)
        assert problem.startswith("storage_uri: ")
    (problem,) = refused_destination(MAIL, storage_uri="s3://AKIAX:wJalrXUtnFEMI@bucket/x")
    assert "wJalrXUtnFEMI" not in problem
    assert destination(MAIL, storage_uri="s3://store@bucket/links").connection_id == "store"
    assert destination(MAIL).link_days == 7
    assert refused_destination(MAIL, link_days=0) != []


def test_storage_uri_is_a_gcs_path() -> None:
    # DX-051
    for written in ("gs://acme-exports/production/x", "gs://acme-exports/production/x/"):
        assert destination(GCS, storage_uri=written).storage_uri == "gs://acme-exports/production/x/"
    assert destination(GCS, storage_uri="gs://acme-exports").storage_uri == "gs://acme-exports/"
    old_name = destination(GCS, storage_uri=None, external_storage_uri="gs://acme-exports/test")
    assert old_name.storage_uri == "gs://acme-exports/test/"
    for bad in (
        "s3://acme-exports/x",
        "gs://",
        "gs:///x",
        "gs://Acme/x",
        "gs://192.168.1.1/x",
        "gs://b/../x",
        "acme",
    ):
        (problem,) = refused_destination(GCS, storage_uri=bad)
        assert problem.startswith(f"storage_uri: {bad!r} ")
    assert refused_destination(GCS, storage_uri=None) == [
        "the key 'storage_uri' is missing in item 1 of 'destinations'"
    ]


def test_images_are_asked_for_per_destination() -> None:
    # DX-053 DX-075
    for base in (GCS, SFTP):
        assert destination(base).export_images is False
        assert destination(base, export_images=True).export_images is True
        assert refused_destination(base, export_images="perhaps")[0].startswith("export_images: ")
    # Document 000 writes True and False, as Python does.
    text = yaml.safe_dump(document(destinations=[GCS | {"export_images": True}])).replace(": true", ": True")
    assert parse_config(text, "acme.yaml").destinations[0].export_images is True


def test_sftp_host_user_and_base_are_needed() -> None:
    # DX-072 DX-074 DX-077 DX-081
    options = destination(SFTP)
    assert (options.sftp_host, options.sftp_remote_path, options.username) == (
        "sftp.acme.example",
        "/outfeed/production",
        "outfeed",
    )
    for key in ("sftp_host", "sftp_remote_path", "username", "connection"):
        assert refused_destination(SFTP, **{key: None}) == [
            f"the key {key!r} is missing in item 1 of 'destinations'"
        ]
    assert refused_destination(SFTP, username=17)[0].startswith("username: input should be a valid string")
    assert refused_destination(SFTP, sftp_host="sftp://acme.example")[0].startswith("sftp_host: ")
    assert refused_destination(SFTP, sftp_remote_path="/a/../b")[0].startswith("sftp_remote_path: ")


def test_sftp_port() -> None:
    # DX-073
    assert destination(SFTP).sftp_port == 22
    assert destination(SFTP, sftp_port=2222).sftp_port == 2222
    assert refused_destination(SFTP, sftp_port=0) == [
        "sftp_port: input should be greater than or equal to 1, not 0"
    ]
    assert refused_destination(SFTP, sftp_port=70000) == [
        "sftp_port: input should be less than or equal to 65535, not 70000"
    ]
    assert refused_destination(SFTP, sftp_port="x")[0].startswith(
        "sftp_port: input should be a valid integer"
    )


def test_the_host_key_is_optional_only_with_an_explicit_decision() -> None:
    # DX-076 D20
    assert destination(SFTP).host_public_key == (HOST_KEY,)
    spelt_as_in_the_document = destination(SFTP, host_public_key=None, **{"host public key": HOST_KEY})
    assert spelt_as_in_the_document.host_public_key == (HOST_KEY,)
    (problem,) = refused_destination(SFTP, host_public_key=None)
    assert problem.startswith("host_public_key is missing: ")
    assert destination(SFTP, host_public_key=None, trust_on_first_use=True).host_public_key == ()


def test_the_base_fields_apply_to_an_sftp_customer() -> None:
    # DX-078
    config = parse(
        destinations=[SFTP], export_type="work-orders-states", interval="weekly", site_id=[SITE, OTHER_SITE]
    )
    assert (config.export_type, config.interval, len(config.site_id)) == ("work-orders-states", "weekly", 2)


def test_two_destinations_have_two_names() -> None:
    assert [d.name for d in parse(destinations=[LOCAL, GCS]).destinations] == ["archive", "bucket"]
    assert refused(destinations=[LOCAL, dict(LOCAL)]) == ["two destinations have the name 'archive'"]
    assert refused(destinations=None) == ["the key 'destinations' is missing"]
    assert refused(destinations=[]) != []


def test_two_destinations_are_two_places() -> None:
    same = "destinations 'archive' and 'again' are the same place, local:acme/production: "
    (problem,) = refused(destinations=[LOCAL, LOCAL | {"name": "again"}])
    assert problem.startswith(same)
    (problem,) = refused(destinations=[SFTP, SFTP | {"name": "again", "connection": "other"}])
    assert "are the same place, sftp://outfeed@sftp.acme.example:22/outfeed/production" in problem
    assert len(parse(destinations=[LOCAL, LOCAL | {"name": "again", "path": "acme/x"}]).destinations) == 2
    # A mailbox is told by the destination's name.
    mails = [MAIL | {"name": name, "emails": [f"{name}@acme.example"]} for name in ("mail", "again")]
    assert len(parse(destinations=mails).destinations) == 2


def test_file_names_without_colons_can_be_chosen() -> None:
    # DX-065 D12
    assert destination(LOCAL).filename_style is FilenameStyle.DEEPOMATIC
    assert destination(LOCAL, filename_style="portable").filename_style is FilenameStyle.PORTABLE
    assert refused_destination(LOCAL, filename_style="windows") == [
        "filename_style: 'windows' is not 'deepomatic' or 'portable'"
    ]


def test_time_zones_and_delays() -> None:
    # XX-02
    config = parse(time_zone="America/St_Johns", release_delay="2h", start_date=dt.date(2026, 3, 28))
    assert config.release_delay == dt.timedelta(hours=2)
    assert config.first_instant == dt.datetime(2026, 3, 28, 2, 30, tzinfo=dt.UTC)
    assert parse().first_instant is None
    for bad in ("Mars/Olympus", "Europe", "../../etc/passwd", ""):
        assert refused(time_zone=bad)[0].startswith(f"time_zone: {bad!r} is no IANA time zone")
    assert refused(time_zone="europe/paris") != []
    assert refused(release_delay="-1h") != []
    for far in ("366d", "999999999d", "P9999999D", "-PT1H"):
        assert refused(release_delay=far) == ["release_delay: a delay is between 0 and 365 days"]
    for text in ("10x", "²d", "9" * 50 + "d"):
        assert refused(release_delay=text) == [
            f"release_delay: {text!r} can't be read (write it like 10m, 2h or 1d)"
        ]
    for text, seconds in (("90s", 90), ("10m", 600), ("1d", 86_400), ("PT5M", 300)):
        assert parse(release_delay=text).release_delay == dt.timedelta(seconds=seconds)


# -- messages: what a person reads


def test_a_wrong_key_word_by_word() -> None:
    text = f"""\
type: work-orders
interval: daily
source:
  connection: platform_db
site_id: [{SITE}]
destinations:
  - name: server
    type: sftp
    sftp_hots: sftp.acme.example
    sftp_remote_path: /production
    username: outfeed
    host_public_key: {HOST_KEY}
    connection: acme_sftp
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "dags/customers/acme.yaml")
    assert str(caught.value) == (
        "dags/customers/acme.yaml:9:5: unknown key 'sftp_hots' (did you mean 'sftp_host'?)"
        " [engineer acts: correct the file; `outfeed validate` checks it]"
    )


def test_a_bad_uuid_word_by_word() -> None:
    # DX-010
    text = """\
type: work-orders
interval: daily
source: {connection: platform_db}
site_id:
  - 433a60f6-9756-473e-b1e9-9e89e24bb787
  - 433a60f6-9756-473e-b1e9
destinations:
  - {name: archive, type: local, path: acme/production}
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "dags/customers/acme.yaml")
    assert str(caught.value) == (
        "dags/customers/acme.yaml:6:5: site_id: '433a60f6-9756-473e-b1e9' is not a UUID"
        " (write it like 433a60f6-9756-473e-b1e9-9e89e24bb787)"
        " [engineer acts: correct the file; `outfeed validate` checks it]"
    )


def test_a_secret_word_by_word() -> None:
    # XX-06
    text = f"""\
type: work-orders
interval: daily
source:
  connection: platform_db
  password: tr0ub4dor
site_id: [{SITE}]
destinations:
  - {{name: archive, type: local, path: acme/production}}
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "dags/customers/acme.yaml")
    assert str(caught.value) == (
        "dags/customers/acme.yaml:5:3: 'password' is a secret, and none may stand in this file"
        " (put it into an Airflow connection and name that under 'connection';"
        " if this file was ever shared, replace the secret)"
        " [engineer acts: correct the file; `outfeed validate` checks it]"
    )


def test_a_syntax_error_word_by_word() -> None:
    text = """\
type: work-orders
interval: daily
source:
  connection: platform_db
 site_id: []
"""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "dags/customers/acme.yaml")
    assert str(caught.value) == (
        "dags/customers/acme.yaml:5:2: the YAML can't be read: did not find expected key"
        " (look at the indentation of this line and the one before, and at its quotes)"
        " [engineer acts: correct the file; `outfeed validate` checks it]"
    )


def test_all_problems_of_a_file_come_together_in_order() -> None:
    text = """\
type: work-orders
interval: hourly
# Umlauts before a mistake do not move its column: ÄÖÜ
description: "Größe"   # ß
sourc:
  connection: platform_db
destinations:
  - name: archive
    type: local
    path: acme/production
    filename_stile: portable
  - name: archive
    type: localhost
"""
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, "acme.yaml")
    assert caught.value.what.split("\n") == [
        "acme.yaml:1:1: the key 'site_id' is missing",
        "acme.yaml:2:11: interval: 'hourly' is not 'once', 'daily', 'weekly' or 'monthly'",
        "acme.yaml:5:1: unknown key 'sourc' (did you mean 'source'?)",
        "acme.yaml:11:5: unknown key 'filename_stile' (did you mean 'filename_style'?)",
        f"acme.yaml:13:11: unknown type 'localhost'; the known ones are {KNOWN} (did you mean 'local'?)",
    ]


def test_a_column_counts_characters_not_bytes() -> None:
    text = "{äöü: 1, type: work-orders}"
    assert "acme.yaml:1:2: unknown key 'äöü'" in str(_error(text))
    assert "acme.yaml:1:16: unknown type 'x'" in str(_error("{äöü: 1, type: x}"))


def _error(text: str) -> InvalidConfigError:
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, "acme.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("", 1, 1, "the file is empty"),
        ("# only a comment\n", 1, 1, "the file is empty"),
        ("- a\n- b\n", 1, 1, "a customer's file is a list of 'key: value' lines, and this is not"),
        ("interval: daily\n", 1, 1, "the key 'type' is missing (known: work-orders, platform-data)"),
        ("typ: work-orders\n", 1, 1, "unknown key 'typ' (did you mean 'type'?)"),
        (
            "a: 1\ntype: workorders\n",
            2,
            7,
            "the known ones are platform-data, work-orders (did you mean 'work-orders'?)",
        ),
        ("type: [work-orders]\n", 1, 1, "the known ones are platform-data, work-orders"),
        ("type: work-orders\n\ttab: x\n", 2, 1, "found a tab character that violates indentation"),
        ("type: work-orders\n---\ntype: work-orders\n", 2, 1, "but found another document"),
        ("type: work-orders\ntype: work-orders\n", 2, 1, "the key 'type' stands here twice, first in line 1"),
        ("type: work-orders\n7: x\n", 2, 1, "this key is not text (write it in quotes)"),
        ("type: work-orders\nyes: x\n", 2, 1, "this key is not text (write it in quotes)"),
        ("type: work-orders\n[a]: x\n", 2, 1, "this key is not text (write it in quotes)"),
        (
            "type: work-orders\nstart_date: 2026-02-31\n",
            2,
            13,
            "'start_date' can't be read: day is out of range",
        ),
        (
            "type: work-orders\nsite_id: !python/x 1\n",
            2,
            10,
            "'site_id' can't be read: could not determine a",
        ),
        (
            "type: &t work-orders\nstate: *t\n",
            2,
            1,
            "an alias (*name) is not supported (write the value out)",
        ),
        ("type: work-orders\nsource: &s [*s]\n", 2, 9, "an alias (*name) is not supported"),
        ("type: work-orders\nsource: *s\n", 2, 9, "found undefined alias"),
        ("type: work-orders\ndescription: a\x07b\n", 2, 15, "control characters are not allowed"),
    ],
)
def test_texts_that_are_no_customer(text: str, line: int, column: int, said: str) -> None:
    found = [problem for problem in _error(text).problems if said in str(problem)]
    assert [(problem.line, problem.column) for problem in found] == [(line, column)]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("\tstate: live", "YAML takes no tabs for indentation: use spaces"),
        ("source:\n\tconnection: x", "YAML takes no tabs for indentation: use spaces"),
        ("description: @home", "put a text that begins with this character in quotes"),
        ("description: a: b", "put a text that holds ': ' in quotes; else look at the indentation"),
        ("description: 'a", "a quote is opened and never closed"),
        ("description: [a", "close the bracket, or look for a missing comma"),
        ("description", "a key needs a ':' and a space after it; or a quote is not closed"),
        ("description: *a", "put a text that begins with * in quotes"),
    ],
)
def test_a_syntax_error_says_what_to_do(line: str, hint: str) -> None:
    (problem,) = _error(f"type: work-orders\n{line}\n").problems
    assert problem.message.startswith("the YAML can't be read: ")
    assert problem.hint == hint


@pytest.mark.parametrize("depth", [21, 5_000, 1_000_000])
@pytest.mark.parametrize("close", ["", "]"])
def test_a_file_that_is_nested_without_end_is_refused_and_ends_no_process(depth: int, close: str) -> None:
    # XX-07
    (problem,) = _error(f"type: work-orders\ndescription: {'[' * depth}{close * depth}\n").problems
    assert str(problem).startswith("2:33: the file is nested more than 20 deep")
    assert _error("- " * 1000).problems[0].message == "the file is nested more than 20 deep"


def test_a_file_may_be_nested_as_deep_as_any_key_needs() -> None:
    (problem,) = _error(f"type: work-orders\nnotify: {'[' * 19}{']' * 19}\n" + REST).problems
    assert problem.message.startswith("notify: 'key: value' lines belong here, indented, not [[[")


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "9" * 5000, "-" + "1:1" * 50, "9." + "9" * 400])
def test_a_number_without_end_is_refused_in_words_of_ours(number: str) -> None:
    (problem,) = _error(f"type: work-orders\nrelease_delay: {number}\n{REST}").problems
    said = f"'release_delay' can't be read: the number has {len(number)} characters"
    assert str(problem) == f"2:16: {said} (put a text of digits in quotes)"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "notify: bi@acme.example",
            "notify: 'key: value' lines belong here, indented, not 'bi@acme.example'",
        ),
        ("notify:", "notify: 'key: value' lines belong here, indented, not nothing"),
        ("start_date: soon", "start_date: 'soon' can't be read (write it like 2026-03-28)"),
        ("start_date: 2026-03-01 10:00:00", "start_date: 2026-03-01 10:00:00 can't be read (write it like "),
        ("notify: {customer: {}}", "customer: this must be a list, not {}"),
    ],
)
def test_a_value_of_another_shape_is_refused_in_words_of_yaml(line: str, said: str) -> None:
    (problem,) = _error(f"type: work-orders\n{line}\n{REST}").problems
    assert problem.text.startswith(said)
    assert problem.line == 2


def test_a_host_key_that_is_no_key_is_refused_in_words_of_ours() -> None:
    # DX-076
    for key in ("ssh-ed25519 AAAA…", "ssh-ed25519 AAAA...", "sftp.acme.example " + HOST_KEY):
        (problem,) = refused_destination(SFTP, host_public_key=key)
        assert problem.startswith("host_public_key: what follows ")
        assert "is no public key in OpenSSH form; take the whole key" in problem


def test_a_broken_file_says_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    path.write_bytes(b"type: work-orders\ndescription: caf\xe9\n")
    with pytest.raises(InvalidConfigError, match=re.escape(f"{path}:2:17: this is not UTF-8")):
        load_config(path)
    with pytest.raises(ConfigError, match=re.escape(f"{tmp_path}/absent.yaml: the file can't be read")):
        load_config(tmp_path / "absent.yaml")
    path.write_text("\ufeff" + yaml.safe_dump(document()))
    assert load_config(path) == parse()


def test_the_other_ending_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "good.yml").write_text(yaml.safe_dump(document()))
    with pytest.raises(ConfigError, match=r"must end in .yaml .*: rename it to good.yaml]"):
        load_config(tmp_path / "good.yml")
    (tmp_path / "good.yaml").write_text(yaml.safe_dump(document()))
    with pytest.raises(ConfigError, match=r"good.yaml exists already: remove one of the two"):
        load_config(tmp_path / "good.yml")
    assert load_config(tmp_path / "good.yaml") == parse()
    (tmp_path / "folder.yaml").mkdir()
    for folder in (tmp_path / "folder.yaml", tmp_path, Path()):
        with pytest.raises(ConfigError, match="this is a folder, not a customer's file"):
            load_config(folder)


@pytest.mark.parametrize("name", ["Acme", "acme corp", "-acme", "acme.prod", "a" * 64, "ümlaut"])
def test_a_file_name_that_can_not_be_a_customers(tmp_path: Path, name: str) -> None:
    # DX-057
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document()))
    with pytest.raises(ConfigError, match="can't be a customer's name"):
        load_config(path)


def test_a_file_name_that_is_a_customers(tmp_path: Path) -> None:
    for name in ("acme", "acme-2", "0_x", "a" * 63):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document()))
        assert customer_name(path) == name
        assert load_config(path) == parse()


# -- secrets

SECRET = "hunter2hunter2"
PEM = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"password": SECRET},
        {"S3_SECRET_KEY": SECRET},
        {"source": {"connection": "x", "private-key": SECRET}},
        {"source": {"connection": "x", "Access Key": {"id": SECRET}}},
        {"destinations": [SFTP | {"private_key": PEM}]},
        {"destinations": [SFTP | {"username": PEM}]},
        {"destinations": [SFTP | {"passphrase": SECRET, "sftp_hots": 1}]},
        {"destinations": [GCS | {"storage_uri": f"gs://user:{SECRET}@bucket/x"}]},
        {"destinations": [GCS | {"token": [SECRET, SECRET]}]},
        {"destinations": [{"name": "x", "type": f"postgresql://u:{SECRET}@host/db"}]},
        {"source": {"connection": f"postgres://user:{SECRET}@host/db"}},
        {"type": f"postgres://user:{SECRET}@host/db"},
        {"description": f"see https://user:{SECRET}@wiki.example/"},
        {"site_id": [PEM]},
        {f"postgres://user:{SECRET}@host": "x"},
    ],
)
def test_a_secret_is_refused_and_never_repeated(changes: dict[str, Any]) -> None:
    # XX-06
    text = yaml.safe_dump(document() | changes, sort_keys=False, width=10_000)
    with pytest.raises(InvalidConfigError) as caught:
        parse_config(text, "acme.yaml")
    shown = f"{caught.value} {caught.value!r} {caught.value.problems!r}"
    assert "secret" in shown
    assert SECRET not in shown
    assert "Airflow connection" in shown
    assert caught.value.__cause__ is None


def test_an_access_key_is_refused_and_never_repeated() -> None:
    # XX-06
    key = "AKIA" + "Q3EGRIQTNEXAMPLE"[:16]
    (problem,) = refused(description=f"key {key}")
    assert problem.startswith("'description' holds a secret")
    assert key not in problem


def test_what_only_resembles_a_secret_is_accepted() -> None:
    # XX-06
    public_pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
    assert destination(SFTP, host_public_key=[HOST_KEY]).host_public_key == (HOST_KEY,)
    assert parse(description=public_pem).description == public_pem
    uri = "s3://platform_images@images/production"
    assert parse(source={"connection": "x", "images_uri": uri}).source.images_uri == uri
    assert destination(GCS, connection="acme_password_store").connection == "acme_password_store"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), min_size=8, max_size=40))
def test_no_secret_is_ever_repeated(secret: str) -> None:
    # XX-06
    marked = f"Zq7{secret}"
    changes = {"source": {"connection": "x", "password": marked}, "notify": {"token": [marked]}}
    message = str(_error(yaml.safe_dump(document(**changes), allow_unicode=True)))
    assert "Zq7" not in message
    assert message.count("is a secret") == 2


# -- warnings


def warned(customer: str = "acme-telecom", **changes: Any) -> list[str]:
    text = yaml.safe_dump(document(**changes), sort_keys=False)
    parsed = Document(text)
    found = list(advice(customer, parse_document(parsed, "acme.yaml"), parsed))
    lines = text.split("\n")
    for problem in found:
        assert "name: " in lines[problem.line - 1]
    return [f"{problem.message} ({problem.hint})" for problem in found]


def test_a_folder_without_an_environment_is_worth_a_warning() -> None:
    # DX-055
    expected = (
        "destination {!r} has no folder for its environment "
        "(separate testing from production: end the base folder with testing/ or production/)"
    )
    bare = [GCS | {"storage_uri": "gs://acme-exports/x"}, SFTP | {"sftp_remote_path": "/reproduction"}]
    assert warned(destinations=bare) == [expected.format("bucket"), expected.format("server")]
    assert warned(destinations=[GCS, SFTP]) == []
    for folder in ("testing", "prod/eu", "Acme-Staging"):
        assert warned(destinations=[GCS | {"storage_uri": f"gs://acme-exports/{folder}/"}]) == []


def test_an_unpinned_server_is_worth_a_warning() -> None:
    # DX-076 D20
    first_use = {key: value for key, value in SFTP.items() if key != "host_public_key"}
    (warning,) = warned(destinations=[first_use | {"trust_on_first_use": True}])
    assert "'server'" in warning
    assert "every receipt will say so" in warning


def test_a_customer_whose_name_no_service_account_can_have_is_worth_a_warning() -> None:
    # DX-057 D33
    assert warned("a" * 21, destinations=[GCS]) == []
    assert warned("a" * 22, destinations=[GCS]) == [
        f"destination 'bucket': 'customer-{'a' * 22}' can't be a Google service account: "
        "6 to 30 lower-case letters, digits and '-', not ending in '-' (rename the customer's file)"
    ]
    assert len(warned("acme_telecom", destinations=[GCS])) == 1
    assert warned("acme_telecom", destinations=[SFTP]) == []


# -- examples, schema, cost


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid_drafts_without_warnings(path: Path) -> None:
    # DX-005 XX-01
    config = load_config(path)
    assert config.state == "draft"
    parsed = Document(path.read_text())
    assert list(advice(path.stem, config, parsed)) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def _as_editor(data: Any) -> Any:
    """What an editor sees: dates are text."""
    return json.loads(json.dumps(data, default=str))


GOOD: list[dict[str, Any]] = [
    {},
    {"destinations": [GCS, SFTP, LOCAL]},
    {"destinations": [SFTP | {"host_public_key": [HOST_KEY, HOST_KEY]}]},
    {"validation": {"max_rejected_percent": 1.5}, "empty_window": "none", "time_zone": "Europe/Paris"},
    {"interval": "once", "start_date": dt.date(2026, 3, 1), "end_date": dt.date(2026, 3, 2)},
    {
        "release_delay": "10m",
        "notify": {"customer": ["bi@acme.example"]},
        "validation": {"max_rejected_percent": 1.5},
    },
]
BAD: list[dict[str, Any]] = [
    {"type": "telemetry"},
    {"interval": "hourly"},
    {"site_id": []},
    {"site_id": ["x"]},
    {"unknown": 1},
    {"source": {}},
    {"destinations": []},
    {"destinations": [GCS | {"sftp_port": 22}]},
    {"destinations": [SFTP | {"sftp_port": 70000}]},
    {"destinations": [{"name": "mail", "type": "email"}]},
    {"notify": {"customer": ["nobody"]}},
    {"validation": {"max_rejected_percent": 101}},
]


@pytest.mark.parametrize("changes", GOOD)
def test_the_published_schema_accepts_what_we_accept(
    changes: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    # XX-01
    parse(**changes)
    validator.validate(_as_editor(document(**changes)))


@pytest.mark.parametrize("changes", BAD)
def test_the_published_schema_refuses_what_we_refuse(
    changes: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    # XX-01 DX-016
    refused(**changes)
    assert not validator.is_valid(_as_editor(document(**changes)))


def test_the_published_schema_accepts_the_examples(validator: jsonschema.Draft202012Validator) -> None:
    for path in EXAMPLES:
        validator.validate(_as_editor(yaml.safe_load(path.read_text())))


def test_every_key_is_described_in_the_schema() -> None:
    undescribed = [
        f"{model}.{key}"
        for model, definition in json_schema()["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if "description" not in value and "const" not in value and "$ref" not in value
    ]
    assert undescribed == []


def test_the_committed_schema_is_current() -> None:
    # XX-01
    committed = json.loads((ROOT / "docs" / "customer.schema.json").read_text())
    assert committed == json_schema(), "run `outfeed schema --write`"


CHEAP = """
import sys
from pathlib import Path
before = set(sys.modules)
from outfeed.config.load import load_config
for name in sys.argv[1:]:
    load_config(Path(name))
print(sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""
HEAVY = {
    *(
        "sqlalchemy",
        "alembic",
        "pandas",
        "numpy",
        "azure",
        "pyarrow",
        "boto3",
        "botocore",
        "google",
        "asyncssh",
        "psycopg",
    ),
    *("psycopg2", "airflow", "jsonschema", "jsonschema_rs", "duckdb", "gcsfs", "s3fs", "fsspec", "requests"),
    *("email_validator", "cryptography", "croniter"),
}


def test_parsing_a_customer_imports_nothing_heavy() -> None:
    names = [str(path) for path in EXAMPLES]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "include")}
    done = subprocess.run(
        [sys.executable, "-c", CHEAP, *names], capture_output=True, text=True, env=environment, check=True
    )
    imported = set(re.findall(r"'([^']+)'", done.stdout))
    assert {"pydantic", "yaml", "outfeed"} <= imported
    assert imported & HEAVY == set()
