"""`outfeed import-env`: an old installation's settings become a customer who exports exactly the same."""

from __future__ import annotations

import re
import shlex
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outfeed.cli import main
from outfeed.config.catalogue import catalogue
from outfeed.config.load import load_config
from outfeed.config.platform_data import PlatformDataConfig
from outfeed.connectors import FtpOptions, GoogleOptions, S3Options, SftpOptions
from outfeed.migration.env_text import parse_env

#: As document 002 prints them, all in one line.
DEFAULTS = (
    'CRON_SCHEDULE_ASSETS="10 0 * * *" CRON_SCHEDULE_AUDITS="30 0 * * *" CRON_SCHEDULE_CHURN_PREDICT="" '
    'CRON_SCHEDULE_USERS_PROFILES="" CRON_SCHEDULE_VOUCHERS="" CRON_SCHEDULE_VVS_POOLS_SNAPSHOT="15 0 * * *" '
    'CRON_SCHEDULE_VVS_POOLS_DELTA="15 0 * * *" CRON_SCHEDULE_USERS="20 0 * * *"'
)
#: Default cron by the name of the job.
JOBS = {job: cron for name, one in catalogue().items() for job, (cron, _) in one.jobs(name).items()}
BUCKET = "S3_BUCKET=acme-exports\n"


def run(folder: Path, text: str, *arguments: str) -> Result:
    """The command on a file `acme.env`, which writes into `folder`."""
    (folder / "acme.env").write_text(text)
    return CliRunner().invoke(
        main, ["import-env", str(folder / "acme.env"), "--out", str(folder), *arguments]
    )


def imported(folder: Path, text: str) -> tuple[PlatformDataConfig, str]:
    """The customer that a text becomes, and what was printed."""
    result = run(folder, text)
    assert result.exit_code == 0, result.output
    config = load_config(folder / "acme.yaml")
    assert isinstance(config, PlatformDataConfig)
    return config, result.output


def section(output: str, title: str) -> list[str]:
    """The lines below a title of the report."""
    below = output.partition(f"{title}:\n\n")[2]
    return below.partition("\n\n")[0].strip().splitlines()


def left_out(output: str) -> list[str]:
    return [line.removeprefix("- ") for line in section(output, "Not carried over")]


# -- reading


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('A_B="x y"', {"A_B": "x y"}),
        ("export A_B='x y'; B_C=2", {"A_B": "x y", "B_C": "2"}),
        ("A_B=10 0 * * *\nB_C=x  # comment\n# C_D=1\n", {"A_B": "10 0 * * *", "B_C": "x"}),
        ("A_B=10 0 * * * B_C=2 C_D= D_E=", {"A_B": "10 0 * * *", "B_C": "2", "C_D": "", "D_E": ""}),
        ("A_B=“10 0 * * *” B_C=‘x’ C_D=„y“", {"A_B": "10 0 * * *", "B_C": "x", "C_D": "y"}),
        ('A_B="""\nB_C=\'"\'\nC_D="\\""\nD_E=”””', {"A_B": '"', "B_C": '"', "C_D": '"', "D_E": '"'}),
        ('A_B=""yyyy-MM-dd’T’HH:mm:ssZ""', {"A_B": "yyyy-MM-dd’T’HH:mm:ssZ"}),
        ('A_B=""yyyy\'T\'HH"" B_C=1', {"A_B": "yyyy'T'HH", "B_C": "1"}),
        ("A_B=yyyy-MM-dd'T'HH", {"A_B": "yyyy-MM-dd'T'HH"}),
        ('A_B="" B_C=""', {"A_B": "", "B_C": ""}),
        ("A_B=;\nB_C=';'\nC_D=x;", {"A_B": ";", "B_C": ";", "C_D": "x"}),
        ("A_B = 'x'\r\nB_C=y z\r\n", {"A_B": "x", "B_C": "y z"}),
        ("A_B=1 \\\n  B_C=2", {"A_B": "1", "B_C": "2"}),
        ("A_B=\"a\"'b'c", {"A_B": "abc"}),
        ('A_B=1\nA_B="2"', {"A_B": "2"}),
        ("", {}),
    ],
)
def test_settings_as_people_write_them(text: str, values: dict[str, str]) -> None:
    found = parse_env(text)
    assert {name: one.value for name, one in found.settings.items()} == values


def test_what_is_no_setting_is_listed_by_its_line_only() -> None:
    found = parse_env('A_B=1\nthe password is s3cr3t\nB_C="s3cr3t never ends\nC_D=2\nA_B=3\n')
    assert set(found.settings) == {"A_B", "C_D"}
    assert found.problems == [
        "B_C, line 3: its quote is not closed on the line; it was left out",
        "A_B, line 1: replaced by line 5",
        "line 2: there is text that sets nothing",
    ]
    assert "s3cr3t" not in repr(parse_env("S3_SECRET_KEY=s3cr3t").settings)


def test_of_a_setting_that_is_given_twice_the_first_is_reported(tmp_path: Path) -> None:
    config, output = imported(tmp_path, "S3_BUCKET=a-b-c\nS3_BUCKET=d-e-f CSV_MD5=0 CSV_MD5=1\n")
    assert config.destinations[0].location() == "s3://d-e-f/"
    assert "s3_bucket: d-e-f  # S3_BUCKET, line 2" in (tmp_path / "acme.yaml").read_text()
    assert left_out(output) == [
        "S3_BUCKET, line 1: replaced by line 2",
        "CSV_MD5, line 2: replaced by a later one on the same line",
    ]


# -- schedules


def test_the_documents_own_defaults_need_no_line(tmp_path: Path) -> None:
    # VI-026
    config, output = imported(tmp_path, f"{DEFAULTS} S3_BUCKET=acme-exports")
    assert config.schedules == {}
    assert config.state == "draft"
    assert left_out(output) == ["nothing: every setting was understood"]
    assert "schedules" not in (tmp_path / "acme.yaml").read_text()


def test_schedules_are_carried_over_and_empty_is_never(tmp_path: Path) -> None:
    # VI-026, VI-027, VI-031
    config, _ = imported(
        tmp_path,
        BUCKET
        + 'CRON_SCHEDULE_ASSETS="5 1 * * *"\nCRON_SCHEDULE_USERS=""\nCRON_SCHEDULE_VOUCHERS="0 2 * * 1"\n'
        'CRON_SCHEDULE_VVS_POOLS_DELTA=""\n',
    )
    assert config.schedules == {
        "assets": "5 1 * * *",
        "users": "",
        "vouchers": "0 2 * * 1",
        "vvs_pools_delta": "",
    }
    jobs = config.jobs()
    assert jobs["5 1 * * *"] == [("assets", "snapshot"), ("assets", "delta")]
    everything = [job for found in jobs.values() for job in found]
    assert not [job for job in everything if job[0] == "users"]
    assert [job for job in everything if job[0] == "vvs_pools"] == [("vvs_pools", "snapshot")]
    assert "  users: ''  # CRON_SCHEDULE_USERS, line 3" in (tmp_path / "acme.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ASSETS", "0 10 0 * * ?", "Quartz's form; leave out the seconds"),
        ("ASSETS", "0 10 0 * * ? 2030", "Quartz's form"),
        ("ASSETS", "@daily", "no cron expression of five fields; the default '10 0 * * *' stays in force"),
        ("ASSETS", "61 0 * * *", "no cron expression"),
        (
            "ASSETS",
            "0 0 30 2 *",
            "never happens: no year has such a day; the default '10 0 * * *' stays in force",
        ),
        ("VOUCHERS", "nightly", "it never runs"),
        ("ASETS", "1 1 * * *", "there is no such job (did you mean 'assets'?)"),
        ("VVS_POOLS", "1 1 * * *", "there is no such job (did you mean"),
        ("ASSETS", "$NIGHT", "refers to another variable"),
    ],
)
def test_schedules_that_can_not_be_carried_over_are_listed(
    tmp_path: Path, name: str, value: str, message: str
) -> None:
    # VI-028
    config, output = imported(tmp_path, f'{BUCKET}CRON_SCHEDULE_{name}="{value}"\n')
    (line,) = left_out(output)
    assert line.startswith(f"CRON_SCHEDULE_{name}, line 2: ")
    assert message in line
    assert config.schedules == {}


def test_several_runs_a_day_give_files_the_hour_in_their_names(tmp_path: Path) -> None:
    config, output = imported(tmp_path, f'{BUCKET}CRON_SCHEDULE_TAGS="0 */6 * * *"\n')
    assert config.schedules == {"tags": "0 */6 * * *"}
    assert config.file_name == "{entity}/{entity}_{date:yyyy_MM_dd_HH_mm}"
    assert config.delta_file_name == "{entity}_delta/{entity}_delta_{date:yyyy_MM_dd_HH_mm}"
    assert any("CRON_SCHEDULE_TAGS" in line for line in section(output, "To do before it goes live"))


# -- windows and CSV


def test_options_keep_their_meaning(tmp_path: Path) -> None:
    # VI-021, VI-022, VI-025, VI-C02 to VI-C08
    config, output = imported(
        tmp_path,
        BUCKET + "DATA_DELTA_DAYS=7 DATA_DELTA_MIDNIGHT_TO_MIDNIGHT=1 DATA_DELTA_TIME_ZONE=Europe/Oslo\n"
        'CSV_INCLUDE_HEADER=0\nCSV_FIELD_SEPARATOR="\\t"\nCSV_TEXT_ROW_SEPARATOR="|"\nCSV_TEXT_ENCLOSURE="\'"\n'
        'CSV_ESCAPE_CHAR="\\\\"\nCSV_DATE_FORMAT=""yyyy-MM-dd’T’HH:mm:ssXXX""\nCSV_MD5="1"\n',
    )
    assert (config.data_delta_days, config.data_delta_midnight_to_midnight) == (7, True)
    assert config.data_delta_time_zone == "Europe/Oslo"
    assert (config.csv_include_header, config.csv_md5) == (False, True)
    assert (config.csv_field_separator, config.csv_text_row_separator) == ("\t", "|")
    assert (config.csv_text_enclosure, config.csv_escape_char) == ("'", "\\")
    assert config.csv_date_format == "yyyy-MM-dd'T'HH:mm:ssXXX"
    assert left_out(output) == ["nothing: every setting was understood"]


def test_options_that_are_refused_keep_their_default_and_say_why(tmp_path: Path) -> None:
    # VI-021, VI-025, VI-C05, VI-C07
    config, output = imported(
        tmp_path,
        BUCKET + "DATA_DELTA_DAYS=0\nDATA_DELTA_TIME_ZONE=Europe/Oslo\nCSV_DATE_FORMAT=YYYY-MM-dd\n"
        'CSV_TEXT_ENCLOSURE=""\nCSV_FIELD_SEPARATOR=ab\nCSV_MD5=1\n',
    )
    lines = left_out(output)
    assert [line.partition(":")[0] for line in lines] == [
        "DATA_DELTA_DAYS, line 2",
        "CSV_FIELD_SEPARATOR, line 6",
        "CSV_DATE_FORMAT, line 4",
        "DATA_DELTA_TIME_ZONE, line 3",
        "CSV_TEXT_ENCLOSURE, line 5",
    ]
    assert lines[0] == "DATA_DELTA_DAYS, line 2: it must be at least 1; the default 1 stays in force"
    assert "yyyy" in lines[2]
    assert "DATA_DELTA_MIDNIGHT_TO_MIDNIGHT=1" in lines[3]
    assert (config.data_delta_days, config.csv_md5, config.csv_field_separator) == (1, True, ",")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DATA_DELTA_DAYS=x", "DATA_DELTA_DAYS, line 2: it is no whole number; the default 1"),
        ("DATA_DELTA_DAYS=" + 5000 * "9", "DATA_DELTA_DAYS, line 2: it is too large a number; the default 1"),
        ("DATA_DELTA_DAYS=367", "DATA_DELTA_DAYS, line 2: it must be at most 366; the default 1"),
        ("CSV_MD5=yess", "CSV_MD5, line 2: it must be 1 or 0; the default 0 stays in force"),
        ("CSV_INCLUDE_HEADER=2", "CSV_INCLUDE_HEADER, line 2: it must be 1 or 0; the default 1"),
        (
            "CSV_FIELD_SEPARATOR=ab",
            "CSV_FIELD_SEPARATOR, line 2: it has 2 characters, but only 1 can be used",
        ),
        ("FTP_HOST=a.b\nFTP_USERNAME=x\nFTP_PORT=ab", "left out: FTP_PORT, line 4: it is no whole number"),
        ("FTP_HOST=a.b\nFTP_USERNAME=x\nFTP_PORT=²", "left out: FTP_PORT, line 4: it is no whole number"),
        (
            f"FTP_HOST=a.b\nFTP_USERNAME=x\nFTP_PORT={5000 * '9'}",
            "FTP_PORT, line 4: it is too large a number",
        ),
        ("FTP_HOST=a.b\nFTP_USERNAME=x\nFTP_PORT=99999", "FTP_PORT, line 4: it must be at most 65535"),
        (f"FTP_HOST=a.b\nFTP_USERNAME={300 * 'x'}", "FTP_USERNAME, line 3: it has more than 256 characters"),
        (
            f"FTP_HOST=a.b\nFTP_PORT=22\nFTP_USERNAME={300 * 'x'}",
            "FTP_USERNAME, line 4: it has more than 128",
        ),
        (
            "FTP_HOST=a.b\nFTP_PORT=22",
            "FTP_HOST, line 2: the whole destination is left out: FTP_USERNAME: it is",
        ),
        ("FTP_HOST=a b\nFTP_USERNAME=x:y", "left out: 'a b' is no host name"),
        ("FTP_HOST=a b\nFTP_USERNAME=x:y", "; FTP_USERNAME, line 3: 'x:y' is no user name"),
        (
            "GOOGLE_BUCKET=A",
            "GOOGLE_BUCKET, line 2: the whole destination is left out: 'A' is no bucket name",
        ),
        ("S3_ASSUME_ROLE=writer", "left out: S3_ASSUME_ROLE, line 2: it is no ARN of a role; write it like"),
    ],
)
def test_what_is_refused_is_said_of_its_setting_and_line_in_our_words(
    tmp_path: Path, text: str, said: str
) -> None:
    result = run(tmp_path, f"{BUCKET}{text}\n")
    assert said in result.output
    assert not re.search(r"Input should|String should|Value should|Field required|Unable to", result.output)


def test_options_that_are_only_valid_together_are_carried_over_together(tmp_path: Path) -> None:
    config, _ = imported(
        tmp_path, BUCKET + 'CSV_FIELD_SEPARATOR=\'"\'\nCSV_TEXT_ENCLOSURE="\'"\nCSV_ESCAPE_CHAR="\'"\n'
    )
    assert (config.csv_field_separator, config.csv_text_enclosure) == ('"', "'")
    (tmp_path / "acme.yaml").unlink()
    config, output = imported(tmp_path, BUCKET + "CSV_FIELD_SEPARATOR=';'\nCSV_TEXT_ENCLOSURE=';'\n")
    assert (config.csv_field_separator, config.csv_text_enclosure) == (",", ";")
    assert left_out(output)[0].startswith("CSV_FIELD_SEPARATOR, line 2")


@pytest.mark.parametrize(
    ("value", "names"),
    [("all", ()), ("", ()), ("assets, USERS", ("assets", "users")), ("vvs_pools", ("vvs_pools",))],
)
def test_snapshots_of_some_entities(tmp_path: Path, value: str, names: tuple[str, ...]) -> None:
    # VI-C12
    config, _ = imported(tmp_path, f'{BUCKET}CSV_SNAPSHOT="{value}"')
    assert config.csv_snapshot == names


# -- destinations


def test_a_bucket_without_keys_is_reached_by_the_workers_role(tmp_path: Path) -> None:
    # VI-D02, VI-D05, VI-D06, VI-D08
    role = "arn:aws:iam::123456789012:role/writer"
    config, output = imported(
        tmp_path,
        f'S3_BUCKET="acme-exports"\nS3_KEY_PREFIX="stage"\nS3_ASSUME_ROLE={role}\nFTP_HOST=\nFTP_PORT=21\n',
    )
    (bucket,) = config.destinations
    assert isinstance(bucket, S3Options)
    assert (bucket.connection_id, bucket.s3_assume_role) == (None, role)
    assert bucket.location() == "s3://acme-exports/stage/"
    assert left_out(output) == ["FTP_PORT, line 5: FTP_HOST is empty, so it has no effect"]
    assert "acme_s3" not in output


def test_keys_become_a_connection_without_its_secret(tmp_path: Path) -> None:
    # VI-D03, VI-D04
    config, output = imported(
        tmp_path, f"{BUCKET}S3_ACCESS_KEY=AKIAIOSFODNN7EXAMPLE\nS3_SECRET_KEY='a s3cret $x'\n"
    )
    assert config.destinations[0].connection_id == "acme_s3"
    comment, command = section(output, "which you set before")[:2]
    assert "password: from S3_SECRET_KEY" in comment
    assert shlex.split(command) == [
        *("airflow", "connections", "add", "acme_s3", "--conn-type", "aws"),
        *("--conn-login", "AKIAIOSFODNN7EXAMPLE", "--conn-password", "$S3_SECRET_KEY"),
    ]
    assert "AKIA" not in (tmp_path / "acme.yaml").read_text()


@pytest.mark.parametrize(
    ("there", "missing"), [("S3_ACCESS_KEY", "S3_SECRET_KEY"), ("S3_SECRET_KEY", "S3_ACCESS_KEY")]
)
def test_half_a_key_is_to_be_completed(tmp_path: Path, there: str, missing: str) -> None:
    # VI-D03
    config, output = imported(tmp_path, f"{BUCKET}{there}=abcdefgh\n")
    assert config.destinations[0].connection_id == "acme_s3"
    assert f"- {missing} is empty: complete the connection" in output


def test_a_google_bucket(tmp_path: Path) -> None:
    # VI-D17, VI-D18, VI-D19, VI-D20
    config, output = imported(
        tmp_path,
        "GOOGLE_BUCKET=acme-gs\nGOOGLE_ACCESS_KEY=GOOG1EXAMPLE\nGOOGLE_SECRET_KEY=hushhush\n"
        'GOOGLE_DELIVERY="assets,USERS"\n',
    )
    (bucket,) = config.destinations
    assert isinstance(bucket, GoogleOptions)
    assert (bucket.google_bucket, bucket.connection, bucket.delivery) == (
        "acme-gs",
        "acme_google",
        ("assets", "users"),
    )
    assert "airflow connections add acme_google --conn-type generic --conn-login GOOG1EXAMPLE" in output
    assert "password: from GOOGLE_SECRET_KEY" in output
    assert "hushhush" not in output


def test_an_ftp_server(tmp_path: Path) -> None:
    # VI-D11 to VI-D16
    config, output = imported(
        tmp_path,
        "FTP_HOST=ftp.acme.example\nFTP_PORT=2121\nFTP_USERNAME=outfeed\nFTP_PASSWORD=hushhush\n"
        "FTP_REMOTE_DIRECTORY=/stage\nFTP_DELIVERY=\n",
    )
    (server,) = config.destinations
    assert isinstance(server, FtpOptions)
    assert server.location() == "ftp://outfeed@ftp.acme.example:2121/stage"
    assert (server.connection, server.delivery) == ("acme_ftp", ())
    assert (
        "# acme_ftp: type ftp, host ftp.acme.example, port 2121, login outfeed; password: from FTP_PASSWORD"
        in output
    )
    assert "hushhush" not in output + (tmp_path / "acme.yaml").read_text()
    (clear,) = [line for line in section(output, "To do before it goes live") if "FTP_HOST" in line]
    assert clear.startswith("- FTP_HOST, line 1, is plain FTP: the password and all files travel in clear")


def test_a_destination_that_is_left_out_leaves_nothing_to_do(tmp_path: Path) -> None:
    _, output = imported(
        tmp_path, f"{BUCKET}FTP_HOST=ftp.acme.example\nGOOGLE_BUCKET=A\nGOOGLE_ACCESS_KEY=GOOG1EXAMPLE\n"
    )
    (line,) = section(output, "To do before it goes live")
    assert line.startswith("- check the connection 'platform_db'")
    assert not re.search("acme_(ftp|google)", output)


def test_port_22_is_sftp_whose_key_must_be_pinned(tmp_path: Path) -> None:
    # VI-D12
    config, output = imported(
        tmp_path, "FTP_HOST=ftp.acme.example FTP_PORT=22 FTP_USERNAME=outfeed FTP_PASSWORD=hushhush\n"
    )
    (server,) = config.destinations
    assert isinstance(server, SftpOptions)
    assert server.location() == "sftp://outfeed@ftp.acme.example:22/"
    to_do = section(output, "To do before it goes live")
    assert not any("in clear" in line for line in to_do)
    assert any("ssh-keyscan -p 22 ftp.acme.example" in line and "host_public_key" in line for line in to_do)
    assert any("FTP_PASSWORD is no longer used" in line for line in to_do)
    assert "--conn-password" not in output.partition("acme_sftp")[2].partition("platform_db")[0]


def test_a_list_of_which_nothing_is_known_never_becomes_everything(tmp_path: Path) -> None:
    # VI-D07, VI-D16
    config, output = imported(
        tmp_path,
        f"{BUCKET}S3_DELIVERY=assets,nonsense\nFTP_HOST=ftp.acme.example\nFTP_USERNAME=x\nFTP_DELIVERY=nonsense\n",
    )
    (bucket,) = config.destinations
    assert bucket.delivery == ("assets",)
    assert bucket.receives("assets")
    assert not bucket.receives("users")
    assert any(
        "the whole destination" in line and line.startswith("FTP_HOST, line 3") for line in left_out(output)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CSV_MD5=1\n", "no destination could be imported"),
        ("S3_BUCKET=Not_A_Bucket\n", "is no bucket name"),
        (
            "FTP_HOST=ftp.acme.example\n",
            "FTP_HOST, line 1: the whole destination is left out: FTP_USERNAME: it is",
        ),
        ("FTP_HOST=ftp://outfeed:hush@hush@ftp.acme.example\nFTP_USERNAME=x\n", "is no host name"),
        (BUCKET + "\n".join(f"CRON_SCHEDULE_{job.upper()}=" for job in JOBS), "no entity has a schedule"),
        (
            f"{BUCKET}CRON_SCHEDULE_USERS=\nS3_DELIVERY=users\n",
            "S3_DELIVERY, line 3: destination 's3' would never receive anything",
        ),
    ],
)
def test_what_makes_no_customer_is_refused_and_writes_nothing(tmp_path: Path, text: str, said: str) -> None:
    result = run(tmp_path, text)
    assert result.exit_code == 1
    assert said in result.output
    assert "hush" not in result.output
    assert not (tmp_path / "acme.yaml").exists()


# -- the command


def test_a_file_that_can_not_be_read_ends_with_one(tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, ["import-env", str(tmp_path / "gone.env"), "--out", str(tmp_path)])
    assert missing.exit_code == 1
    assert "gone.env: the file can't be read: No such file or directory" in missing.output
    (tmp_path / "latin.env").write_bytes(b"A=1\nS3_KEY_PREFIX=caf\xe9\n")
    latin = CliRunner().invoke(main, ["import-env", str(tmp_path / "latin.env"), "--out", str(tmp_path)])
    assert latin.exit_code == 1
    assert "latin.env:2:18: this is not UTF-8 [operator acts: save the file as UTF-8]\n" in latin.output


def test_an_existing_customer_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("mine")
    result = run(tmp_path, BUCKET)
    assert result.exit_code == 1
    assert "the file exists" in result.output
    assert (tmp_path / "acme.yaml").read_text() == "mine"


def test_the_customer_is_named_after_the_file_or_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dags" / "customers").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OUTFEED_PROJECT", raising=False)
    Path("Acme Telecom.env").write_text(BUCKET)
    first = CliRunner().invoke(main, ["import-env", "Acme Telecom.env"])
    assert first.output.startswith("wrote dags/customers/acme-telecom.yaml, a draft\n")
    second = CliRunner().invoke(main, ["import-env", "Acme Telecom.env", "--customer", "other"])
    assert second.output.startswith("wrote dags/customers/other.yaml, a draft\n")
    assert CliRunner().invoke(main, ["validate"]).exit_code == 0


@pytest.mark.parametrize("name", ["Bad Name", "../x y", "../x", "x/y", "x.y", "", "-x", "x" * 64])
def test_another_name_is_asked_for_if_it_can_be_no_customers(tmp_path: Path, name: str) -> None:
    # In a folder of its own: nothing may be written beside it either.
    folder = tmp_path / "folder"
    folder.mkdir()
    result = run(folder, BUCKET, "--customer", name)
    assert result.exit_code == 1
    assert (
        f"acme.env: {name!r} can't be a customer's name [operator acts: give another name with"
        in result.output
    )
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["acme.env"]


@pytest.mark.parametrize("file", ["__.env", "é.env", f"{'x' * 64}.env"])
def test_a_name_is_asked_for_if_the_files_is_no_customers(tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text(BUCKET)
    result = CliRunner().invoke(main, ["import-env", str(tmp_path / file), "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{file}: " in result.output
    assert (
        "made of the file's name, can't be a customer's name [operator acts: give a name with"
        in result.output
    )
    assert [found.name for found in tmp_path.iterdir()] == [file]


def test_unknown_settings_are_listed_without_their_values(tmp_path: Path) -> None:
    _, output = imported(tmp_path, f"{BUCKET}S3_BUKET=hushhush\nCOLOUR=hushhush\n")
    assert left_out(output) == [
        "S3_BUKET, line 2: unknown setting (did you mean 'S3_BUCKET'?)",
        "COLOUR, line 3: unknown setting",
    ]


# -- every valid installation

minutes = st.integers(0, 59).map(str)
hours = st.one_of(st.integers(0, 23).map(str), st.just("*/6"))
crons = st.one_of(
    st.just(""),
    st.tuples(
        minutes, hours, st.sampled_from(["*", "1", "1,15"]), st.just("*"), st.sampled_from(["*", "1-5"])
    ).map(" ".join),
)
lists = st.one_of(
    st.sampled_from(["", "all"]),
    st.lists(st.sampled_from(sorted(catalogue())), min_size=1, max_size=4).map(",".join),
)
secrets = st.text("abcdefXYZ0123456789+/=$;#' ", min_size=12, max_size=30).filter(
    lambda text: text == text.strip()
)
installations = st.fixed_dictionaries(
    {"S3_BUCKET": st.just("acme-exports")},
    optional={
        **{f"CRON_SCHEDULE_{job.upper()}": crons for job in JOBS},
        "DATA_DELTA_DAYS": st.integers(1, 366).map(str),
        "DATA_DELTA_MIDNIGHT_TO_MIDNIGHT": st.sampled_from(["0", "1"]),
        "CSV_INCLUDE_HEADER": st.sampled_from(["0", "1"]),
        "CSV_FIELD_SEPARATOR": st.sampled_from([",", ";", "|", "\t", "#", " "]),
        "CSV_TEXT_ROW_SEPARATOR": st.sampled_from(["0", "~", "_"]),
        "CSV_ESCAPE_CHAR": st.sampled_from(['"', "\\"]),
        "CSV_DATE_FORMAT": st.sampled_from(["yyyy-MM-dd'T'HH:mm:ssZ", "dd.MM.yyyy HH:mm", "yyyyMMdd'''x'"]),
        "CSV_MD5": st.sampled_from(["0", "1"]),
        "CSV_SNAPSHOT": lists,
        "S3_KEY_PREFIX": st.sampled_from(["", "stage", "a/b/"]),
        "S3_SECRET_KEY": secrets,
        "S3_DELIVERY": lists,
        "GOOGLE_BUCKET": st.sampled_from(["", "acme-gs"]),
        "GOOGLE_SECRET_KEY": secrets,
        "GOOGLE_DELIVERY": lists,
        "FTP_PORT": st.sampled_from(["21", "22", "2121"]),
        "FTP_PASSWORD": secrets,
        "FTP_DELIVERY": lists,
    },
)


def written(draw: st.DrawFn, name: str, value: str) -> str:
    """A setting in one of the ways that people write it."""
    escaped = re.sub(r'(["\\$`])', r"\\\1", value)
    ways = [f'{name}="{escaped}"', f'export {name}="{escaped}"']
    if "'" not in value:
        ways += [f"{name}='{value}'", f"{name}=‘{value}’"]
    if '"' not in value:
        ways.append(f"{name}=“{value}”")
    if re.fullmatch(r"[\w,./*-]*", value):
        ways.append(f"{name}={value}")
    return draw(st.sampled_from(ways))


@st.composite
def environments(draw: st.DrawFn) -> tuple[dict[str, str], str]:
    """Valid settings, and a text that sets them."""
    values: dict[str, str] = draw(installations)
    if draw(st.booleans()):
        values |= {"FTP_HOST": "ftp.acme.example", "FTP_USERNAME": "outfeed"}
    between = draw(st.sampled_from([" ", "\n", "; ", "\n# a comment\n\n", "\r\n"]))
    return values, between.join(written(draw, name, value) for name, value in values.items())


def expected_jobs(values: dict[str, str]) -> dict[tuple[str, str], str]:
    """When each entity runs, by entity and mode, straight from the settings."""
    snapshots = values.get("CSV_SNAPSHOT", "all")
    found = {}
    for name, entity in catalogue().items():
        for job, (default, modes) in entity.jobs(name).items():
            cron = values.get(f"CRON_SCHEDULE_{job.upper()}", default)
            for mode in modes if cron else ():
                if (
                    mode == "delta"
                    or len(modes) == 1
                    or snapshots in ("", "all")
                    or name in snapshots.split(",")
                ):
                    found[name, mode] = cron
    return found


def received(values: dict[str, str], family: str) -> set[str]:
    """The entities that a destination gets, straight from the settings."""
    names = values.get(f"{family}_DELIVERY", "all")
    return set(catalogue()) if names in ("", "all") else set(names.split(","))


def expected_options(values: dict[str, str]) -> dict[str, Any]:
    return {
        "data_delta_days": int(values.get("DATA_DELTA_DAYS", "1")),
        "data_delta_midnight_to_midnight": values.get("DATA_DELTA_MIDNIGHT_TO_MIDNIGHT") == "1",
        "csv_include_header": values.get("CSV_INCLUDE_HEADER", "1") == "1",
        "csv_field_separator": values.get("CSV_FIELD_SEPARATOR", ","),
        "csv_text_row_separator": values.get("CSV_TEXT_ROW_SEPARATOR", "0"),
        "csv_text_enclosure": '"',
        "csv_escape_char": values.get("CSV_ESCAPE_CHAR", '"'),
        "csv_date_format": values.get("CSV_DATE_FORMAT", "yyyy-MM-dd'T'HH:mm:ssZ"),
        "csv_md5": values.get("CSV_MD5") == "1",
    }


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(environments())
def test_an_imported_installation_exports_the_same(environment: tuple[dict[str, str], str]) -> None:
    # VI-D04, VI-D14, VI-D19
    values, text = environment
    there = [
        family
        for family, switch in (("S3", "S3_BUCKET"), ("GOOGLE", "GOOGLE_BUCKET"), ("FTP", "FTP_HOST"))
        if values.get(switch)
    ]
    scheduled = expected_jobs(values)
    exported = {entity for entity, _ in scheduled}
    useless = [family for family in there if not received(values, family) & exported]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if useless:
            refused = run(folder, text)
            assert refused.exit_code == 1
            assert not scheduled or f"{useless[0]}_DELIVERY, line " in refused.output
            return
        config, output = imported(folder, text)
        content = (folder / "acme.yaml").read_text()
    jobs = {job: cron for cron, found in config.jobs().items() for job in found}
    wanted_by_some = set[str]().union(*(received(values, family) for family in there))
    assert jobs == {job: cron for job, cron in scheduled.items() if job[0] in wanted_by_some}
    assert {key: getattr(config, key) for key in expected_options(values)} == expected_options(values)
    families = {"s3": "S3", "google": "GOOGLE", "ftp": "FTP"}
    assert [families[destination.name] for destination in config.destinations] == there
    for destination in config.destinations:
        wanted = received(values, families[destination.name])
        assert {entity for entity in catalogue() if destination.receives(entity)} == wanted
    for name in ("S3_SECRET_KEY", "GOOGLE_SECRET_KEY", "FTP_PASSWORD"):
        assert values.get(name, "\0") not in output + content
