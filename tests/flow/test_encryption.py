"""Files encrypted for the customer: other tools decrypt them, and every retry sends the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import multiprocessing
import os
import signal
import subprocess
import time
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from upath import UPath

from outfeed.config.load import load_config
from outfeed.connectors.encryption import AgeEncryption, OpenPgpEncryption
from outfeed.errors import Action, ConfigError, TerminalError
from outfeed.ledger import Ledger
from outfeed.ledger.records import FileKind, RunState
from outfeed.plan import Part
from outfeed.staging import Staging, path_component
from outfeed.steps.context import RunContext
from outfeed.steps.file_log import FileLog
from outfeed.steps.package import package
from tests.conformance.contents import BrokenStream, GeneratedStream, content
from tests.flow.test_delivery import DATA, FIRST, FOLDER
from tests.flow.world import NAME, SITE_A, SITE_B, World, config, sha256sum_accepts, tree
from tests.servers.process import binary


class Customer(ABC):
    """Has a key pair, and decrypts with a tool that is none of ours.

    Attributes:
        options: what stands in the YAML under `encryption`.
    """

    suffix: str
    options: dict[str, Any]

    @abstractmethod
    def command(self) -> tuple[list[str], dict[str, str]]:
        """What decrypts standard input to standard output, and its environment."""

    def decrypt(self, data: bytes) -> bytes:
        command, environment = self.command()
        return subprocess.run(command, input=data, env=environment, capture_output=True, check=True).stdout


class AgeCustomer(Customer):
    suffix = ".age"

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.identity = folder / "key.txt"
        keygen = binary("age-keygen", "apt-get install -y age")
        subprocess.run([keygen, "-o", self.identity], capture_output=True, check=True)
        shown = subprocess.run([keygen, "-y", self.identity], capture_output=True, text=True, check=True)
        self.options = {"type": "age", "recipients": [shown.stdout.strip()]}

    def command(self) -> tuple[list[str], dict[str, str]]:
        return [binary("age", "apt-get install -y age"), "--decrypt", "-i", str(self.identity)], {}


class SshCustomer(AgeCustomer):
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.identity = folder / "id_ed25519"
        keygen = binary("ssh-keygen", "apt-get install -y openssh-client")
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", self.identity], check=True)
        self.options = {"type": "age", "recipients": [self.identity.with_suffix(".pub").read_text().strip()]}


class PgpCustomer(Customer):
    suffix = ".pgp"

    def __init__(self, folder: Path, algorithm: str = "default", usage: str = "default") -> None:
        folder.mkdir(mode=0o700)
        self.home = folder
        self._gpg("--passphrase", "", "--quick-generate-key", "acme@example.com", algorithm, usage, "1d")
        self.options = {"type": "openpgp", "public_key": self._gpg("--armor", "--export").decode()}

    def _gpg(self, *arguments: str) -> bytes:
        command, environment = self.command()
        return subprocess.run(
            [*command[:-1], *arguments], env=environment, capture_output=True, check=True
        ).stdout

    def command(self) -> tuple[list[str], dict[str, str]]:
        gpg = binary("gpg", "apt-get install -y gnupg")
        return [gpg, "--batch", "--quiet", "--yes", "--decrypt"], {**os.environ, "GNUPGHOME": str(self.home)}


CUSTOMERS = {"age": AgeCustomer, "ssh": SshCustomer, "openpgp": PgpCustomer}


@pytest.fixture(params=sorted(CUSTOMERS))
def customer(request: pytest.FixtureRequest, tmp_path: Path) -> Customer:
    """One with each kind of key."""
    made: Customer = CUSTOMERS[request.param](tmp_path / "customer")
    return made


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Where the encrypted files arrive; unencrypted ones in `plain` beside it."""
    return tmp_path / "base"


def make_world(home: Path, base: Path, encryption: Mapping[str, Any] | None) -> World:
    """A customer with two destinations, of which one may be encrypted."""
    common = {"type": "local", "export_images": True}
    sealed = {"name": "sealed", "path": str(base), "encryption": encryption}
    plain = {"name": "plain", "path": str(base.with_name("plain"))}
    made = World(home, config([common | sealed, common | plain]))
    for destination in made.config.destinations:
        made.ledger.record_validation("acme", destination.location(), "earlier")
    return made


@pytest.fixture
def world(tmp_path: Path, base: Path, customer: Customer) -> World:
    """A customer whose first destination is encrypted."""
    return make_world(tmp_path, base, customer.options)


def manifest(base: Path, folder: str = FOLDER) -> Any:
    return orjson.loads((base / folder / "MANIFEST").read_bytes())


def files_of(manifest: Any) -> dict[str, Any]:
    return {file["path"]: file for file in manifest["files"]}


# -- what the customer gets


def test_other_tools_decrypt_what_was_delivered(world: World, base: Path, customer: Customer) -> None:
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image, "gone.png"]})

    delivered, plain = tree(base), tree(base.with_name("plain"))
    documented = {f"{SITE_A}/{DATA}/{NAME}.json", f"{SITE_B}/{DATA}/{NAME}.json", f"{SITE_A}/inputs/a.png"}
    assert documented <= set(plain)
    own = {f"{FOLDER}/{name}" for name in ("IMAGES", "MANIFEST", "SHA256SUMS", "_SUCCESS")}
    assert set(delivered) == {path + customer.suffix for path in documented} | own
    for path in documented:
        assert plain[path] not in delivered[path + customer.suffix]
        assert customer.decrypt(delivered[path + customer.suffix]) == plain[path]


def test_lists_and_manifest_tell_of_both_forms(world: World, base: Path, customer: Customer) -> None:
    # XX-05
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image, "gone.png"]})
    path = f"{SITE_A}/{DATA}/{NAME}.json{customer.suffix}"
    lying = (base / path).read_bytes()

    file = files_of(manifest(base))[path]
    assert file["encryption"] == customer.options["type"]
    assert (file["bytes"], file["sha256"]) == (len(lying), hashlib.sha256(lying).hexdigest())
    first = FIRST[SITE_A]
    assert (file["plain_bytes"], file["plain_sha256"]) == (len(first), hashlib.sha256(first).hexdigest())
    assert manifest(base)["totals"]["bytes"] == sum(
        len((base / name).read_bytes()) for name in files_of(manifest(base))
    )
    unencrypted = next(iter(files_of(manifest(base.with_name("plain"))).values()))
    assert unencrypted["encryption"] is None
    assert "plain_sha256" not in unencrypted

    listed = [orjson.loads(line) for line in (base / FOLDER / "IMAGES").read_bytes().splitlines()]
    there, gone = listed
    picture = (world.images / image).read_bytes()
    assert there["path"] == f"{SITE_A}/inputs/a.png{customer.suffix}"
    assert there["sha256"] == hashlib.sha256((base / there["path"]).read_bytes()).hexdigest()
    assert (there["plain_bytes"], there["plain_sha256"]) == (
        len(picture),
        hashlib.sha256(picture).hexdigest(),
    )
    assert (gone["path"], gone["state"]) == (f"{SITE_A}/inputs/gone.png{customer.suffix}", "missing")
    assert f"{path}: OK" in sha256sum_accepts(base, f"{FOLDER}/SHA256SUMS")


def test_a_sidecar_is_of_the_file_beside_it(world: World, base: Path, customer: Customer) -> None:
    # VI-C09, VI-C10
    run = world.plan()
    world.package(run, {SITE_B: FIRST[SITE_B]})
    (part,) = (part for part in run.plan.parts if part.subject == SITE_A)
    world._package(run, part, FIRST[SITE_A], ())
    pointer = UPath(run.staging.root) / "package" / path_component(part.key) / "done.json"
    made = orjson.loads(pointer.read_bytes())
    made["details"] = {"md5": hashlib.md5(FIRST[SITE_A]).hexdigest()}
    pointer.write_bytes(orjson.dumps(made))
    world.upload(run, "sealed")

    path = f"{SITE_A}/{DATA}/{NAME}.json{customer.suffix}"
    said = subprocess.run(
        ["md5sum", "--check", "--strict", f"{NAME}.json{customer.suffix}.md5"],
        cwd=(base / path).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == f"{NAME}.json{customer.suffix}: OK\n"
    assert files_of(manifest(base))[path]["md5"] == hashlib.md5((base / path).read_bytes()).hexdigest()


# -- what is new


def test_the_same_content_is_never_sent_again(world: World, base: Path) -> None:
    # XX-03
    images = {SITE_A: [world.image("a.png")]}
    world.deliver(FIRST, images)
    before = tree(base)
    again = world.deliver(FIRST, images)
    assert {result["outcome"] for result in again.values()} == {"nothing-new"}
    assert tree(base) == before


def test_changed_content_is_a_revision(world: World, base: Path, customer: Customer) -> None:
    # D27
    world.deliver(FIRST)
    world.deliver(FIRST | {SITE_B: b'{"id":7}\n'})
    revised = f"{SITE_B}/{DATA}/{NAME}__r2.json{customer.suffix}"
    assert customer.decrypt((base / revised).read_bytes()) == b'{"id":7}\n'
    files = files_of(manifest(base, f"{FOLDER}__r2"))
    assert files[revised]["supersedes"] == f"{SITE_B}/{DATA}/{NAME}.json{customer.suffix}"
    unchanged = files[f"{SITE_A}/{DATA}/{NAME}.json{customer.suffix}"]
    assert unchanged["unchanged"]
    assert unchanged["encryption"] == customer.options["type"]
    assert unchanged["plain_sha256"] == hashlib.sha256(FIRST[SITE_A]).hexdigest()


def test_a_new_key_is_for_new_files(tmp_path: Path, base: Path) -> None:
    old, new = AgeCustomer(tmp_path / "old"), AgeCustomer(tmp_path / "new")
    world = make_world(tmp_path / "home", base, old.options)
    world.deliver(FIRST)
    before = tree(base)

    world.config = make_world(tmp_path / "home", base, new.options).config
    assert world.deliver(FIRST)["sealed"]["outcome"] == "nothing-new"
    assert tree(base) == before
    world.deliver(FIRST | {SITE_B: b'{"id":7}\n'})
    revised = (base / f"{SITE_B}/{DATA}/{NAME}__r2.json.age").read_bytes()
    assert new.decrypt(revised) == b'{"id":7}\n'
    with pytest.raises(subprocess.CalledProcessError):
        old.decrypt(revised)
    assert old.decrypt(before[f"{SITE_B}/{DATA}/{NAME}.json.age"]) == FIRST[SITE_B]


def test_encryption_that_begins_later_is_for_new_files_and_missing_images(tmp_path: Path, base: Path) -> None:
    customer = AgeCustomer(tmp_path / "customer")
    world = make_world(tmp_path / "home", base, None)
    world.deliver(FIRST, {SITE_A: ["late.png"]})
    world.config = make_world(tmp_path / "home", base, customer.options).config
    assert world.deliver(FIRST)["sealed"]["outcome"] == "nothing-new"

    world.image("late.png")
    world.deliver(FIRST | {SITE_B: b'{"id":7}\n'})
    world.deliver(FIRST | {SITE_B: b'{"id":8}\n'})
    images = {name: data for name, data in tree(base).items() if "/inputs/" in name}
    assert set(images) == {f"{SITE_A}/inputs/late.png.age"}
    assert customer.decrypt(*images.values()) == (world.images / "late.png").read_bytes()
    revised = (base / f"{SITE_B}/{DATA}/{NAME}__r3.json.age").read_bytes()
    assert customer.decrypt(revised) == b'{"id":8}\n'


def test_an_image_that_appears_later_follows_encrypted(world: World, base: Path, customer: Customer) -> None:
    world.deliver(FIRST, {SITE_A: ["late.png"]})
    world.image("late.png")
    world.deliver(FIRST)
    lying = (base / f"{SITE_A}/inputs/late.png{customer.suffix}").read_bytes()
    assert customer.decrypt(lying) == (world.images / "late.png").read_bytes()


def test_a_foreign_file_under_our_name_is_kept_and_ours_goes_beside_it(
    world: World, base: Path, customer: Customer
) -> None:
    # D27
    for path in (f"{SITE_A}/{DATA}/{NAME}.json", f"{SITE_A}/inputs/a.png"):
        foreign = base / f"{path}{customer.suffix}"
        foreign.parent.mkdir(parents=True)
        foreign.write_bytes(b"theirs")
    image = world.image("a.png")
    world.deliver(FIRST, {SITE_A: [image]})
    assert (base / f"{SITE_A}/{DATA}/{NAME}.json{customer.suffix}").read_bytes() == b"theirs"
    ours = (base / f"{SITE_A}/{DATA}/{NAME}__r2.json{customer.suffix}").read_bytes()
    assert customer.decrypt(ours) == FIRST[SITE_A]
    ours = (base / f"{SITE_A}/inputs/a__r2.png{customer.suffix}").read_bytes()
    assert customer.decrypt(ours) == (world.images / image).read_bytes()


# -- tries that die


def _upload_until_killed(world: World, run: RunContext, kind: FileKind) -> None:
    """In a process of its own: dies when it has delivered a file of a kind and would record it."""
    add = FileLog.add

    def dying(self: FileLog, record: Any) -> None:
        if record.kind is kind:
            os.kill(os.getpid(), signal.SIGKILL)
        add(self, record)

    FileLog.add = dying  # type: ignore[method-assign]
    world.upload(dataclasses.replace(run, ledger=Ledger(f"sqlite:///{world.home / 'ledger.db'}")), "sealed")


@pytest.mark.parametrize("kind", [FileKind.IMAGE, FileKind.DATA, FileKind.MANIFEST])
def test_a_try_that_is_killed_sends_nothing_twice(
    world: World, base: Path, customer: Customer, kind: FileKind
) -> None:
    # XX-03, XX-04
    run = world.plan()
    world.package(run, FIRST, {SITE_A: [world.image("a.png")]})
    process = multiprocessing.get_context("fork").Process(
        target=_upload_until_killed, args=(world, run, kind)
    )
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    before = {path: data for path, data in tree(base).items() if not path.startswith(".outfeed-tmp/")}
    assert any(path.endswith(customer.suffix) for path in before)

    assert world.upload(run, "sealed", "2-second")["outcome"] == "delivered"
    after = tree(base)
    assert {path: after[path] for path in before} == before
    assert not [path for path in after if "__r2" in path]
    assert customer.decrypt(after[f"{SITE_A}/{DATA}/{NAME}.json{customer.suffix}"]) == FIRST[SITE_A]
    sha256sum_accepts(base, f"{FOLDER}/SHA256SUMS")


def _validated(run: RunContext, part: Part, lines: bytes) -> None:
    """What the second step publishes."""
    relative, stream = run.staging.open_write("validate", part.key, "records.jsonl")
    with stream:
        stream.write(lines)
    digest = hashlib.sha256(lines).hexdigest()
    counts = {"rows": lines.count(b"\n"), "bytes": len(lines), "sha256": digest, "rejected": 0}
    run.staging.publish(
        "validate", part.key, counts | {"segments": [relative], "images": None, "details": {}}
    )


def sealed(run: RunContext) -> dict[str, bytes]:
    """What lies encrypted in staging."""
    return {
        path: data
        for path, data in tree(Path(str(run.staging.root))).items()
        if path.startswith("encrypt/sealed/") and not path.endswith("done.json")
    }


def test_package_encrypts_once_what_the_destination_lacks(
    world: World, base: Path, customer: Customer
) -> None:
    run = world.plan()
    for part in run.plan.parts:
        _validated(run, part, FIRST[part.subject])
    for attempt in ("1-first", "2-second"):
        again = dataclasses.replace(run, staging=Staging(run.staging.root, attempt), attempt=attempt)
        for group in range(len(run.plan.groups)):
            package(again, group)
    made = sealed(run)
    assert len(made) == 2
    assert {customer.decrypt(data) for data in made.values()} == set(FIRST.values())
    world.upload(run, "sealed", "3-third")
    assert sealed(run) == made
    assert {(base / f"{site}/{DATA}/{NAME}.json{customer.suffix}").read_bytes() for site in FIRST} == set(
        made.values()
    )

    later = world.plan()
    for part in later.plan.parts:
        _validated(later, part, FIRST[part.subject])
    for group in range(len(later.plan.groups)):
        package(later, group)
    assert sealed(later) == {}


# -- streams


@pytest.mark.parametrize("size", [0, 1, 65_536, 9_000_000])
def test_content_of_any_size_comes_back(customer: Customer, size: int) -> None:
    data, out = content(size), io.BytesIO()
    make_stream(customer).encrypt(io.BytesIO(data), out)
    assert customer.decrypt(out.getvalue()) == data


def make_stream(customer: Customer) -> Any:
    model = AgeEncryption if customer.suffix == ".age" else OpenPgpEncryption
    return model.model_validate(customer.options).stream()


def test_a_large_file_does_not_pass_through_memory_as_a_whole(customer: Customer, tmp_path: Path) -> None:
    class Hashed(GeneratedStream):
        def read(self, size: int = -1) -> bytes:
            block = super().read(size)
            expected.update(block)
            return block

    expected = hashlib.sha256()
    tracemalloc.start()
    try:
        with (tmp_path / "large").open("wb") as target:
            make_stream(customer).encrypt(Hashed(60_000_000), target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000
    command, environment = customer.command()
    with (tmp_path / "large").open("rb") as encrypted:
        done = subprocess.run(command, stdin=encrypted, env=environment, capture_output=True, check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == expected.hexdigest()


@pytest.mark.parametrize("size", [1_000, 10_000_000])
def test_an_error_of_a_stream_is_raised_as_it_is(customer: Customer, size: int) -> None:
    class Full(io.BytesIO):
        def write(self, block: Any) -> int:
            raise OSError(28, "full")

    with pytest.raises(OSError, match="disk"):
        make_stream(customer).encrypt(BrokenStream(content(size), OSError("disk")), io.BytesIO())
    with pytest.raises(OSError, match="full"):
        make_stream(customer).encrypt(io.BytesIO(content(size)), Full())


# -- keys that don't serve


def test_a_key_that_can_not_encrypt_fails_its_destination_alone(tmp_path: Path, base: Path) -> None:
    signer = PgpCustomer(tmp_path / "signer", "ed25519", "sign")
    world = make_world(tmp_path / "home", base, signer.options)
    run = world.plan()
    for part in run.plan.parts:
        _validated(run, part, FIRST[part.subject])
    for group in range(len(run.plan.groups)):
        package(run, group)
    assert world.upload(run, "plain")["outcome"] == "delivered"
    with pytest.raises(TerminalError, match="can't be encrypted for the customer's public key") as caught:
        world.upload(run, "sealed")
    assert caught.value.action is Action.CUSTOMER
    assert tree(base) == {}
    (attempt,) = [
        attempt for attempt in world.ledger.attempts("acme", run.plan.run_id) if attempt.target == "sealed"
    ]
    assert attempt.state is RunState.FAILED


@pytest.mark.parametrize("size", [10, 9_000_000])
def test_an_expired_key_is_the_customers_to_replace(size: int) -> None:
    import datetime as dt

    import pysequoia

    key = pysequoia.Tsk.generate("acme@example.com", validity_seconds=1).extract_certificate()
    options = OpenPgpEncryption(type="openpgp", public_key=str(key))
    assert key.expiration is not None
    while key.expiration >= dt.datetime.now(dt.UTC):
        time.sleep(0.1)
    with pytest.raises(TerminalError, match="can't be encrypted") as caught:
        options.stream().encrypt(io.BytesIO(content(size)), io.BytesIO())
    assert caught.value.action is Action.CUSTOMER


def written(tmp_path: Path, encryption: Mapping[str, Any]) -> Path:
    """A customer's file with this encryption."""
    values = config([{"name": "box", "type": "local", "path": "acme"}]).model_dump(
        mode="json", exclude_defaults=True
    )
    values |= {"type": "work-orders"}
    values["destinations"] = [
        {"name": "box", "type": "local", "path": "acme", "encryption": dict(encryption)}
    ]
    file = tmp_path / "acme.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    return file


def refused(tmp_path: Path, encryption: Mapping[str, Any]) -> str:
    """What is said of it."""
    file = written(tmp_path, encryption)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return str(caught.value)


def test_a_public_key_in_the_file_is_no_secret(tmp_path: Path, customer: Customer) -> None:
    loaded = load_config(written(tmp_path, customer.options))
    encryption = loaded.destinations[0].encryption
    assert encryption is not None
    assert encryption.model_dump(mode="json") == customer.options


def test_a_private_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    # XX-01, XX-06
    import pysequoia

    age = AgeCustomer(tmp_path / "age")
    identity = age.identity.read_text().splitlines()[-1]
    secret = str(pysequoia.Tsk.generate("acme@example.com"))
    ssh = SshCustomer(tmp_path / "ssh").identity.read_text()
    assert "PRIVATE KEY" in secret
    for options, private in (
        ({"type": "age", "recipients": [*age.options["recipients"], identity]}, identity),
        ({"type": "age", "recipients": [ssh]}, ssh.splitlines()[2]),
        ({"type": "openpgp", "public_key": secret}, secret.splitlines()[4]),
    ):
        said = refused(tmp_path, options)
        assert "acme.yaml:" in said
        assert "private key" in said or "holds a secret" in said
        assert private not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "age", "recipients": ["age1abc"]}, "'age1abc' is no public key for age"),
        ({"type": "age", "recipients": ["acme@example.com"]}, "write age1…, ssh-ed25519 … or ssh-rsa …"),
        ({"type": "age", "recipients": ["ssh-ed25519 AAAA"]}, "is no public key for age"),
        ({"type": "age", "recipients": []}, "at least 1 item"),
        ({"type": "age"}, "the key 'recipients' is missing"),
        ({"type": "openpgp", "public_key": "hello"}, "export it with gpg --armor --export"),
        ({"type": "pgp", "public_key": "x"}, "did you mean 'openpgp'?"),
        ({"recipients": ["x"]}, "the key 'type' is missing"),
    ],
)
def test_what_is_no_public_key_is_refused_with_line_and_hint(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    # XX-01
    said = refused(tmp_path, options)
    assert words in said
    line = int(said.partition("acme.yaml:")[2].partition(":")[0])
    assert line >= (tmp_path / "acme.yaml").read_text().splitlines().index("  encryption:")


def test_two_keys_in_one_export_are_refused(tmp_path: Path) -> None:
    one, other = (PgpCustomer(tmp_path / name, "ed25519").options["public_key"] for name in "ab")
    assert "it holds 2 keys" in refused(tmp_path, {"type": "openpgp", "public_key": f"{one}\n{other}"})
