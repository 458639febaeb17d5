"""The server's configuration: the file, the environment, the sample, and the documentation of every field."""

import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ocs.config import Address, Config, FileError, PeerConfig, StoreUrl, load_config
from ocs.rating.catalogue_file import load_catalogue
from ocs.yaml_file import validate
from ocs.yaml_tree import dotted, parse

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "config" / "ocs.yaml"
DOCS = (ROOT / "docs" / "configuration.md").read_text()


@pytest.fixture(autouse=True)
def _no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OCS_"):
            monkeypatch.delenv(name)


def config_of(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "ocs.yaml"
    file.write_text(text)
    return load_config(file)


def problems_of(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        config_of(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


def fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field that has no fields of its own, with its path in the file."""
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, path)
        else:
            yield path, field


FIELDS = dict(fields(Config))


# --- the file


def test_without_a_file_everything_is_at_its_default() -> None:
    assert load_config(None) == Config()
    assert Config().diameter.listen == (Address("127.0.0.1", 3868),)
    assert Config().store.url is None


def test_the_sample_is_the_defaults_and_one_peer() -> None:
    sample = load_config(SAMPLE)
    peer = PeerConfig(
        host="pgw.example.org",
        realm="example.org",
        addresses=(ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("::1")),
    )
    assert sample.diameter.peers == (peer,)
    assert sample.charging.catalogue == SAMPLE.parent / "catalogue.yaml"
    plain = sample.model_copy(
        update={
            "diameter": sample.diameter.model_copy(update={"peers": ()}),
            "charging": sample.charging.model_copy(update={"catalogue": Path("catalogue.yaml")}),
        }
    )
    assert plain == Config()


def test_the_sample_shows_every_field() -> None:
    places = parse(SAMPLE.read_text(), "sample").places
    assert [path for path in FIELDS if path not in places] == []
    assert [name for name in PeerConfig.model_fields if ("diameter", "peers", 0, name) not in places] == []


def test_the_samples_belong_together() -> None:
    assert load_catalogue(load_config(SAMPLE).charging.catalogue).currency == "EUR"


def test_values_are_read_with_their_units(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
diameter:
  listen: ["0.0.0.0:3868", "[::1]:0"]
  watchdog: 1 min
  max_message: 64 KiB
  peers:
    - host: pgw.example.org
    - {host: smf.example.org, realm: example.org, addresses: [10.0.0.0/8, "2001:db8::/32"]}
store: {url: "redis://:s3cret@db:6379/1", fsync: no, events_kept: {age: 2 d}}
charging: {catalogue: plans/now.yaml, failover_supported: true, session_grace: 0 s}
cdr: {formats: csv, rotate_age: 1 h 30 min}
""",
    )
    assert config.diameter.listen == (Address("0.0.0.0", 3868), Address("::1", 0))
    assert config.diameter.watchdog_s == 60
    assert config.diameter.max_message_octets == 65536
    assert config.diameter.peers[0] == PeerConfig(host="pgw.example.org")
    assert ipaddress.ip_address("10.1.2.3") in config.diameter.peers[1].addresses[0]
    assert config.store.url is not None
    assert config.store.url.get_secret_value() == "redis://:s3cret@db:6379/1"
    assert config.store.fsync == "no"
    assert config.store.events_kept.age_s == 172_800
    assert config.store.events_kept.count_per_partition == 20_000
    assert config.charging.catalogue == tmp_path / "plans/now.yaml"
    assert config.charging.failover_supported is True
    assert config.charging.session_grace_s == 0
    assert config.cdr.formats == ("csv",)
    assert config.cdr.rotate_age_s == 5400


def test_the_catalogue_lies_next_to_the_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert config_of(tmp_path, "log: {level: info}\n").charging.catalogue == tmp_path / "catalogue.yaml"
    assert config_of(tmp_path, "charging: {catalogue: ../c.yaml}\n").charging.catalogue == tmp_path / "../c.yaml"
    assert config_of(tmp_path, "charging: {catalogue: /etc/c.yaml}\n").charging.catalogue == Path("/etc/c.yaml")


def test_a_section_whose_lines_are_all_comments_is_at_its_defaults(tmp_path: Path) -> None:
    config = config_of(tmp_path, "store:\n  # url: x\n  events_kept:\n    # age: 1 d\ncharging:\ncdr:\n")
    assert config.store == Config().store
    assert config.cdr == Config().cdr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stor: {}\n", ["ocs.yaml:1: stor: unknown key (did you mean 'store'?)"]),
        ("store: redis\n", ["ocs.yaml:1: store: must be a mapping (`key: value`), not 'redis'"]),
        ("charging: 5\n", ["ocs.yaml:1: charging: must be a mapping (`key: value`), not '5'"]),
        ("store:\n  ulr: x\n", ["ocs.yaml:2: store.ulr: unknown key (did you mean 'url'?)"]),
        (
            "store:\n  url: http://:s3cret@db\n",
            [
                "ocs.yaml:2: store.url: is not the URL of a store; "
                "write redis://host:6379/0, rediss:// for TLS, or unix:///socket"
            ],
        ),
        ("store:\n  url: [x]\n", ["ocs.yaml:2: store.url: must be text, not a list"]),
        ("store:\n  partitions: 0\n", ["ocs.yaml:2: store.partitions: 0 is too small; at least 1 is needed"]),
        (
            "store:\n  partitions: -4\n",
            ["ocs.yaml:2: store.partitions: '-4' is not a whole number; it must not be negative: write for example 20"],
        ),
        ("store:\n  data: ''\n", ["ocs.yaml:2: store.data: must not be empty"]),
        (
            "diameter:\n  watchdog: 5 s\n  max_message: 16 MiB\n",
            [
                "ocs.yaml:2: diameter.watchdog: 5 s is too small; at least 6 s is needed",
                "ocs.yaml:3: diameter.max_message: 16 MiB is too large; at most 16777215 B is possible",
            ],
        ),
        (
            "diameter:\n  host: pgw one\n  realm: -x\n",
            [
                "ocs.yaml:2: diameter.host: 'pgw one' is not a Diameter identity; "
                "write a domain name such as ocs.example.org",
                "ocs.yaml:3: diameter.realm: '-x' is not a Diameter identity; "
                "write a domain name such as ocs.example.org",
            ],
        ),
        (
            "diameter:\n  listen:\n    - 127.0.0.1\n    - ::1:3868\n    - '[x]:1'\n    - h:65536\n    - {a: b}\n",
            [
                "ocs.yaml:3: diameter.listen[0]: '127.0.0.1' is not host:port; "
                "write for example 0.0.0.0:3868 or [::1]:3868",
                "ocs.yaml:4: diameter.listen[1]: '::1:3868' is not host:port; "
                "write for example 0.0.0.0:3868 or [::1]:3868",
                "ocs.yaml:5: diameter.listen[2]: 'x' is not an IPv6 address; write for example [::1]:1",
                "ocs.yaml:6: diameter.listen[3]: 65536 is not a port; write 0 to 65535",
                "ocs.yaml:7: diameter.listen[4]: must be host:port, not a mapping",
            ],
        ),
        (
            "metrics:\n  listen: '[1.2.3.4]:80'\n",
            ["ocs.yaml:2: metrics.listen: '1.2.3.4' is not an IPv6 address; write for example [::1]:80"],
        ),
        (
            "diameter:\n  listen: []\n",
            ["ocs.yaml:2: diameter.listen: must have at least one address; write for example 127.0.0.1:3868"],
        ),
        (
            "diameter:\n  peers:\n    - host: a.b\n    - realm: x\n    - host: A.b\n",
            [
                "ocs.yaml:4: diameter.peers[1].host: is missing; "
                "Origin-Host of the peer, as it announces itself in its CER."
            ],
        ),
        (
            "diameter:\n  peers:\n    - host: a.b\n    - host: A.b\n",
            ["ocs.yaml:4: diameter.peers[1].host: 'A.b' is peers[0] already; name each peer once"],
        ),
        (
            "diameter:\n  peers:\n    - host: a.b\n      addresses: [10.0.0.1/8, x]\n",
            [
                "ocs.yaml:4: diameter.peers[0].addresses[0]: '10.0.0.1/8' is no IP address or network; "
                "write 192.0.2.7 or 192.0.2.0/24",
                "ocs.yaml:4: diameter.peers[0].addresses[1]: 'x' is no IP address or network; "
                "write 192.0.2.7 or 192.0.2.0/24",
            ],
        ),
        (
            "diameter:\n  unknown_peers: reject\n",
            [
                "ocs.yaml:2: diameter.unknown_peers: unknown value 'reject'; known: accept, loopback, refuse",
            ],
        ),
        ("diameter:\n  product_name: ' '\n", ["ocs.yaml:2: diameter.product_name: must not be empty"]),
        ("cdr:\n  formats: []\n", ["ocs.yaml:2: cdr.formats: must name at least one, and none twice"]),
        ("cdr:\n  formats: [csv, csv]\n", ["ocs.yaml:2: cdr.formats: must name at least one, and none twice"]),
        (
            "cdr:\n  formats: [cvs]\n",
            ["ocs.yaml:2: cdr.formats[0]: unknown value 'cvs' (did you mean 'csv'?)"],
        ),
        (
            "log:\n  level: verbose\n",
            ["ocs.yaml:2: log.level: unknown value 'verbose'; known: debug, error, info, warning"],
        ),
        ("log: &l\n  level: info\n", ["ocs.yaml:1: log: an anchor (&l) is not allowed; write the value out"]),
        ("", ["ocs.yaml:1: is empty; it must have at least one `key: value`"]),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert problems_of(tmp_path, text) == expected


def test_a_missing_file() -> None:
    with pytest.raises(FileError, match=r"^nowhere/ocs\.yaml: no such file$"):
        load_config(Path("nowhere/ocs.yaml"))


sample_places = sorted(parse(SAMPLE.read_text(), "sample").places, key=str)
wrong_values = st.one_of(
    st.none(),
    st.sampled_from(["", "x", "-1", "0", "5 s", "redis://:s3cret@h", "1.2.3.4:5", "[::]:1", "9" * 30, "true", "csv"]),
    st.lists(st.sampled_from(["x", "csv", "1.2.3.4:5"]), max_size=2),
    st.dictionaries(st.sampled_from(["host", "x", "url"]), st.sampled_from(["redis://:s3cret@h", "x"]), max_size=2),
    st.just([[]]),
    st.just({"host": ["x"]}),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([place for place in sample_places if place]), wrong_values)
def test_whatever_is_wrong_is_an_error_that_shows_no_password(location: tuple[Any, ...], value: Any) -> None:
    document = parse(SAMPLE.read_text(), "sample")
    target: Any = document.data
    for key in location[:-1]:
        target = target[key]
    target[location[-1]] = value
    try:
        valid = validate(document, Config)
    except FileError as error:
        shown = str(error)
    else:
        shown = repr(valid.store.url)
    assert "s3cret" not in shown


# --- the environment


ONE_OF_EACH = {
    "OCS_DIAMETER__HOST": ("ocs9.example.org", "ocs9.example.org"),
    "OCS_DIAMETER__REALM": ("r.example.org", "r.example.org"),
    "OCS_DIAMETER__LISTEN": ("0.0.0.0:1, [::]:2", (Address("0.0.0.0", 1), Address("::", 2))),
    "OCS_DIAMETER__PRODUCT_NAME": ("Gate", "Gate"),
    "OCS_DIAMETER__WATCHDOG": ("7 s", 7),
    "OCS_DIAMETER__MAX_IN_FLIGHT_PER_PEER": ("5", 5),
    "OCS_DIAMETER__MAX_MESSAGE": ("2 KiB", 2048),
    "OCS_DIAMETER__UNKNOWN_PEERS": ("accept", "accept"),
    "OCS_STORE__URL": ("redis://h", StoreUrl("redis://h")),
    "OCS_STORE__DATA": ("/d", Path("/d")),
    "OCS_STORE__FSYNC": ("no", "no"),
    "OCS_STORE__PARTITIONS": ("8", 8),
    "OCS_STORE__EVENTS_KEPT__AGE": ("1 d", 86400),
    "OCS_STORE__EVENTS_KEPT__COUNT_PER_PARTITION": ("500", 500),
    "OCS_CHARGING__CATALOGUE": ("c.yaml", Path("c.yaml")),
    "OCS_CHARGING__SESSION_GRACE": ("5 s", 5),
    "OCS_CHARGING__ANSWERS_KEPT": ("3", 3),
    "OCS_CHARGING__SESSION_RETENTION": ("2 h", 7200),
    "OCS_CHARGING__FAILURE_HANDLING": ("continue", "continue"),
    "OCS_CHARGING__FAILOVER_SUPPORTED": ("true", True),
    "OCS_CDR__DIRECTORY": ("/c", Path("/c")),
    "OCS_CDR__ROTATE_SIZE": ("1 MiB", 2**20),
    "OCS_CDR__ROTATE_AGE": ("5 s", 5),
    "OCS_CDR__FORMATS": ("csv", ("csv",)),
    "OCS_METRICS__LISTEN": ("h:1", Address("h", 1)),
    "OCS_LOG__LEVEL": ("debug", "debug"),
    "OCS_LOG__FORMAT": ("json", "json"),
    "OCS_DIAMETER__ANY_DESTINATION_HOST": ("true", True),
}


def variable(path: tuple[str, ...]) -> str:
    return "OCS_" + "__".join(path).upper()


def test_every_field_but_the_peers_has_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {variable(path) for path in FIELDS} - set(ONE_OF_EACH) == {"OCS_DIAMETER__PEERS"}
    for name, (text, _) in ONE_OF_EACH.items():
        monkeypatch.setenv(name, text)
    for config in (load_config(None), config_of(tmp_path, SAMPLE.read_text())):
        for path, field in FIELDS.items():
            value: Any = config
            for key in path[:-1]:
                value = getattr(value, key)
            names = {f.alias or n: n for n, f in type(value).model_fields.items()}
            if variable(path) in ONE_OF_EACH:
                assert getattr(value, names[path[-1]]) == ONE_OF_EACH[variable(path)][1], (dotted(path), field)


def test_a_variable_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_STORE__URL", "null")
    monkeypatch.setenv("OCS_LOG__LEVEL", "error")
    monkeypatch.setenv("OCS_CHARGING__CATALOGUE", "here.yaml")
    config = config_of(tmp_path, "store:\n  url: redis://h\n  partitions: 8\ncharging: {catalogue: there.yaml}\n")
    assert config.store.url is None
    assert config.store.partitions == 8
    assert config.log.level == "error"
    assert config.charging.catalogue == Path("here.yaml")


def test_a_variable_makes_a_wrong_line_of_the_file_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_DIAMETER__WATCHDOG", "10 s")
    assert config_of(tmp_path, "diameter: {watchdog: 1 s}\n").diameter.watchdog_s == 10


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "OCS_DIAMETER__WATCHDOG",
            "30",
            "environment variable OCS_DIAMETER__WATCHDOG: diameter.watchdog: '30' does not say its unit; "
            "write for example 30 d, 1 h, 15 min or 90 s",
        ),
        (
            "OCS_STORE__ULR",
            "redis://:s3cret@h",
            "environment variable OCS_STORE__ULR: store.ulr: unknown key (did you mean 'url'?)",
        ),
        (
            "OCS_STORE__URL",
            "memcached://:s3cret@h",
            "environment variable OCS_STORE__URL: store.url: is not the URL of a store; "
            "write redis://host:6379/0, rediss:// for TLS, or unix:///socket",
        ),
        (
            "OCS_STOR__URL",
            "redis://:s3cret@h",
            "environment variable OCS_STOR__URL: there is no section 'STOR' (did you mean 'STORE'?)",
        ),
        (
            "OCS_STORE__URL__HOST",
            "s3cret",
            "environment variable OCS_STORE__URL__HOST: store.url: must be text, not a mapping",
        ),
        (
            "OCS_LOG",
            "debug",
            "environment variable OCS_LOG: log: must be a mapping (`key: value`), not 'debug'",
        ),
        (
            "OCS_DIAMETER__PEERS",
            "pgw.example.org",
            "environment variable OCS_DIAMETER__PEERS: diameter.peers: must be a list, not 'pgw.example.org'; "
            "write [pgw.example.org]",
        ),
    ],
)
def test_mistakes_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(FileError) as caught:
        load_config(None)
    assert str(caught.value) == expected


def test_mistakes_in_file_and_environment_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_LOG__LEVEL", "loud")
    monkeypatch.setenv("OCS_STORE__EVENTS_KEPT__AGE", "1 d")
    assert problems_of(tmp_path, "log:\n  format: jsn\nstore:\n  events_kept: 7\n") == [
        "ocs.yaml:2: log.format: unknown value 'jsn' (did you mean 'json'?)",
        "ocs.yaml:4: store.events_kept: must be a mapping (`key: value`), not '7'",
        "environment variable OCS_STORE__EVENTS_KEPT__AGE: store.events_kept.age: cannot be set: "
        "store.events_kept is '7'",
        "environment variable OCS_LOG__LEVEL: log.level: unknown value 'loud'; known: debug, error, info, warning",
    ]


@pytest.mark.parametrize("name", ["OCS_PYTHON", "OCS_PORT", "OCS_PORT_3868_TCP", "OCS_SERVICE_HOST", "OTHER__URL"])
def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "tcp://10.0.0.1:3868")
    assert load_config(None) == Config()


def test_only_load_config_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCS_LOG__LEVEL", "error")
    assert Config().log.level == "info"


# --- passwords


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@host:6379/0",
        "rediss://user:s3cret@host",
        "redis://user:p@ss/s3cret@host",
        "unix:///run/redis.sock?password=s3cret",
    ],
)
def test_a_password_is_never_shown(tmp_path: Path, url: str) -> None:
    config = config_of(tmp_path, f"store:\n  url: {url}\n")
    assert config.store.url is not None
    assert config.store.url.get_secret_value() == url
    shown = f"{config!r} {config} {config.store.url!r} {config.store.url} {config.model_dump()} "
    shown += config.model_dump_json()
    assert "s3cret" not in shown
    assert "***" in shown


def test_a_password_is_not_shown_by_an_error_or_its_causes(tmp_path: Path) -> None:
    for text in (
        "store: {url: 'redis//:s3cret@h'}\n",
        "store: {url: 'redis://:s3cret@h:port'}\n",
        "store: 'redis://:s3cret@h'\n",
        "store: {url: 'redis://:s3cret@h', partitions: x}\n",
    ):
        with pytest.raises(FileError) as caught:
            config_of(tmp_path, text)
        error: BaseException | None = caught.value
        while error is not None:
            assert "s3cret" not in f"{error} {error!r}"
            error = error.__cause__ or error.__context__


# --- addresses


@pytest.mark.parametrize("text", ["127.0.0.1:3868", "[::1]:0", "ocs.example.org:65535", "[fe80::1%eth0]:1"])
def test_an_address_is_shown_as_it_is_written(text: str) -> None:
    assert str(Address.parse(text)) == text


# --- the documentation


ROW = re.compile(r"^\| `([a-z_.\[\]]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, str]]:
    return {path: (default, meaning) for path, default, meaning in ROW.findall(DOCS) if meaning}


def test_every_field_is_documented_in_its_own_words() -> None:
    expected = {dotted(path): field.description for path, field in FIELDS.items()}
    expected |= {f"diameter.peers[].{name}": field.description for name, field in PeerConfig.model_fields.items()}
    assert {path: meaning for path, (_, meaning) in documented().items()} == expected
    for name, section in Config.model_fields.items():
        assert section.description is not None
        assert f"## `{name}`\n\n{section.description}\n" in DOCS


def test_the_documented_defaults_are_the_defaults() -> None:
    tree: dict[str, Any] = {}
    for path in FIELDS:
        default = documented()[dotted(path)][0].strip("`")
        inner = tree
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = parse(f"x: {default}\n", "docs").data["x"]
    assert Config.model_validate(tree) == Config()
    peer = PeerConfig(host="x")
    for name, field in PeerConfig.model_fields.items():
        cell = documented()[f"diameter.peers[].{name}"][0]
        assert cell == ("must be given" if field.is_required() else {None: "`null`", (): "`[]`"}[getattr(peer, name)])


def test_the_documented_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = re.findall(r'^\| `([a-z_.]+)` \| `(OCS_[A-Z_]+)="?([^"`]+)"?` \|$', DOCS, re.MULTILINE)
    assert len(rows) == 3
    for path, name, value in rows:
        assert name == variable(tuple(path.split(".")))
        monkeypatch.setenv(name, value)
    config = load_config(None)
    assert config.store.url is not None
    assert f"`{config.store.url}`" in DOCS
    assert config.store.events_kept.age_s == 172_800
    assert len(config.diameter.listen) == 2


def test_the_examples_of_the_documentation() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    for example in examples:
        assert validate(parse(example, "docs"), Config) != Config()
    mistakes = re.findall(r"^```yaml mistakes\n(.*?)^```\n\n```text\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    assert len(mistakes) == 1
    for text, messages in mistakes:
        with pytest.raises(FileError) as caught:
            validate(parse(text, "ocs.yaml"), Config)
        assert f"{caught.value}\n" == messages
