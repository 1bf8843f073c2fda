"""What config.toml means once it is read."""

from collections.abc import Callable, Iterator
from datetime import time
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ValidationError

from bridge.errors import ConfigError
from bridge.settings import Address, Limit, Settings, load, parse_address
from bridge.times import Duration, parse_cron, parse_days

PROJECT = Path(__file__).resolve().parents[2]
TOKENS = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "DISCORD_TOKEN": "d-1"}
ACCOUNTS = '[accounts.acme]\nplatform = "one"\n[accounts.community]\nplatform = "other"\n'
EVERYTHING = """\
timezone = "Europe/Berlin"
admins = ["acme:@ada"]
admin_channel = "acme:#bridge-admin"
default_time = "08:30"
evening = 19:00:00
working_time = { days = "mon-thu", from = "08:00", to = "16:00" }

[store]
url = "postgresql+psycopg://me:$PASSWORD@host/name"
retention = "30d"
synchronous = "normal"

[broker]
url = "redis://localhost/1"
results = "db+sqlite:///results.sqlite"

[scheduler]
sweep = "0.5s"

[delivery]
give_up = "2d"
late_limit = "90m"
unknown = "hold"

[log]
level = "debug"
format = "json"

[metrics]
listen = "127.0.0.1:9464"

[accounts.acme]
platform = "one"
token = "${TOKEN}"
nested = { list = ["a$$b", "$TOKEN"], number = 3 }

[accounts.community]
platform = "other"

[[notifications]]
name = "unanswered question"
channels = ["acme:#help", "community:123"]
after = "30m"
count = "working_time"
unless = ["reply", "reaction:white_check_mark", "edited", "reaction::tada:"]
to = ["acme:#oncall", "community:@Grace Hopper", "dm:author"]
text = "{author} {{waits}} {link}"
quiet_hours = { from = "22:00", to = "08:00", days = "mon-fri", bypass = ["urgent"] }
then = [{ after = "1h", to = ["acme:#leads"] }]
debounce = { minimum = "1m" }
limit = "20/h"
allow_private = true

[notifications.when]
question = true
keywords = ["help"]
pattern = 'a|b$'
mentions = ["acme:@ada"]
authors = ["acme:U123"]
bots = true
thread = "reply"
has = ["link"]
first = true

[[notifications]]
name = "everything at once"
channels = ["acme:#help"]
to = ["acme:#all"]

[[digests]]
name = "daily"
channels = ["acme:#general"]
schedule = "0 9 * * mon-fri"
to = ["community:#digest"]
sections = ["top", "files"]
catch_up = "all"
empty = "say so"
timezone = "America/New_York"

[[digests]]
name = "often"
channels = ["acme:#general"]
every = "4h"
to = ["community:#digest"]

[[relays]]
name = "general"
channels = ["acme:#general", "community:#general"]
"""

Write = Callable[..., Settings]


def at(start: str) -> str:
    """Where in EVERYTHING the first line starts like this."""
    lines = EVERYTHING.splitlines()
    return f"config.toml:{next(n for n, line in enumerate(lines, 1) if line.startswith(start))}"


@pytest.fixture
def read(tmp_path: Path) -> Write:
    """Load a text as config.toml."""

    def write(text: str, **environ: str) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(text, "utf-8")
        return load(path, environ)

    return write


def test_the_example_loads_and_uses_nothing_that_is_not_there_yet() -> None:
    settings = load(PROJECT / "config.toml", TOKENS)
    assert settings.not_yet() == []
    assert settings.accounts["acme"].options["bot_token"] == "xoxb-1"
    assert settings.store_url == f"sqlite:///{PROJECT}/chatbridge.db"


def test_the_example_names_the_variables_it_lacks() -> None:
    with pytest.raises(ConfigError) as caught:
        load(PROJECT / "config.toml", {})
    assert [line.split("variable ")[1].split()[0] for line in caught.value.problems] == [*TOKENS]


def test_an_empty_file_means_the_defaults(read: Write, tmp_path: Path) -> None:
    settings = read("")
    assert settings.path == tmp_path / "config.toml"
    assert settings.folder == tmp_path
    assert settings.zone == ZoneInfo("UTC")
    assert (settings.admins, settings.admin_channel) == ((), "")
    assert (settings.default_time, settings.evening) == (time(9), time(20))
    assert settings.working_time.days == parse_days("mon-fri")
    assert settings.store_url == f"sqlite:///{tmp_path}/chatbridge.db"
    assert settings.store.retention == Duration(days=365)
    assert settings.store.synchronous == "full"
    assert (settings.broker.url, settings.broker.results) == ("embedded", "")
    assert settings.results_url == ""
    assert settings.scheduler.sweep == 2.0
    assert (settings.delivery.give_up, settings.delivery.late_limit) == (86400.0, 86400.0)
    assert settings.delivery.unknown == "resend"
    assert (settings.log.level, settings.log.format) == ("info", "text")
    assert settings.metrics.listen == ""
    assert settings.accounts == {}
    assert (settings.notifications, settings.digests, settings.relays) == ((), (), ())
    assert settings.not_yet() == []


def test_every_key_of_the_general_sections_is_read(read: Write, tmp_path: Path) -> None:
    settings = read(EVERYTHING, PASSWORD="pw", TOKEN="secret")
    assert settings.timezone == "Europe/Berlin"
    assert settings.admins == ("acme:@ada",)
    assert (settings.default_time, settings.evening) == (time(8, 30), time(19))
    assert settings.working_time.end == time(16)
    assert settings.store_url == "postgresql+psycopg://me:pw@host/name"
    assert settings.results_url == f"db+sqlite:///{tmp_path}/results.sqlite"
    assert settings.scheduler.sweep == 0.5
    assert (settings.delivery.give_up, settings.delivery.late_limit) == (172800.0, 5400.0)
    assert settings.accounts["acme"].platform == "one"
    assert settings.accounts["acme"].options == {
        "token": "secret",
        "nested": {"list": ["a$b", "secret"], "number": 3},
    }


def test_every_key_of_a_notification_is_read(read: Write) -> None:
    rule, plain = read(EVERYTHING, PASSWORD="pw", TOKEN="secret").notifications
    assert rule.name == "unanswered question"
    assert rule.channels == ("acme:#help", "community:123")
    assert rule.after == Duration(seconds=1800)
    assert rule.unless == ("reply", "reaction:white_check_mark", "edited", "reaction:tada")
    assert rule.to == ("acme:#oncall", "community:@Grace Hopper", "dm:author")
    assert rule.when.question
    assert rule.when.pattern == "a|b$"
    assert (rule.when.thread, rule.when.has) == ("reply", ("link",))
    assert rule.quiet_hours is not None
    assert (rule.quiet_hours.start, rule.quiet_hours.bypass) == (time(22), ("urgent",))
    assert [(step.after, step.to) for step in rule.then] == [
        (Duration(seconds=3600), ("acme:#leads",))
    ]
    assert rule.debounce is not None
    assert (rule.debounce.minimum, rule.debounce.maximum) == (60.0, 1800.0)
    assert rule.limit == Limit(20, 3600.0)
    assert plain.after == Duration()
    assert plain.text == "{author} in {channel}: {excerpt} {link}"
    assert (plain.count, plain.unless, plain.allow_private) == ("elapsed", (), False)


def test_every_key_of_a_digest_is_read(read: Write) -> None:
    settings = read(EVERYTHING, PASSWORD="pw", TOKEN="secret")
    daily, often = settings.digests
    assert daily.timing == parse_cron("0 9 * * mon-fri")
    assert (daily.catch_up, daily.empty) == ("all", "say so")
    assert settings.zone_of(daily) == ZoneInfo("America/New_York")
    assert str(often.timing) == "every 4h"
    assert often.sections == ("numbers", "threads", "unanswered", "links")
    assert (often.catch_up, often.empty) == ("coalesce", "skip")
    assert settings.zone_of(often) == ZoneInfo("Europe/Berlin")
    assert settings.relays[0].channels == ("acme:#general", "community:#general")


def test_what_cannot_be_carried_out_yet_is_named_with_its_line(read: Write) -> None:
    lines = read(EVERYTHING, PASSWORD="pw", TOKEN="secret").not_yet()
    assert all("cannot carry it out yet" in line for line in lines)
    assert [line.split(": ")[:2] for line in lines] == [
        [at("retention"), "store.retention"],
        [at("count"), "notifications[0].count"],
        [at("unless"), "notifications[0].unless[2]"],
        [at("quiet_hours"), "notifications[0].quiet_hours"],
        [at("then"), "notifications[0].then"],
        [at("debounce"), "notifications[0].debounce"],
        [at("limit"), "notifications[0].limit"],
        [at("authors"), "notifications[0].when.authors"],
        [at("thread"), "notifications[0].when.thread"],
        [at("has"), "notifications[0].when.has"],
        [at("first"), "notifications[0].when.first"],
        [at("sections"), "digests[0].sections[0]"],
        [at("sections"), "digests[0].sections[1]"],
        [at("[[relays]]"), "relays[0]"],
    ]


def test_a_default_that_is_written_out_is_carried_out(read: Write) -> None:
    settings = read(
        ACCOUNTS + '[store]\nretention = "365d"\n[metrics]\nlisten = ""\n'
        '[[notifications]]\nname = "a"\nchannels = ["acme:#a"]\nto = ["acme:#b"]\n'
        'count = "elapsed"\nthen = []\nwhen = { first = false, thread = "" }\n'
    )
    assert settings.not_yet() == []


def test_where_tells_file_and_line(read: Write) -> None:
    settings = read(EVERYTHING, PASSWORD="pw", TOKEN="secret")
    assert settings.where("accounts", "acme", "token") == at("token")
    assert settings.where("accounts", "acme", "missing") == at("[accounts.acme]")
    assert settings.where("digests", 1, "every") == at("every")


def test_settings_are_frozen_and_show_no_secret(read: Write) -> None:
    settings = read(EVERYTHING, PASSWORD="p4ssw0rd", TOKEN="xoxb-secret")
    assert "p4ssw0rd" not in repr(settings)
    assert "xoxb-secret" not in repr(settings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.timezone = "UTC"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("acme:#help", Address("acme", "channel", "help")),
        ("acme:@Grace Hopper", Address("acme", "person", "Grace Hopper")),
        ("my-acme_2:C0123", Address("my-acme_2", "id", "C0123")),
        ("dm:author", Address("", "author", "")),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield str(field.validation_alias or name)
        yield from inner_keys(field.annotation)


def inner_keys(annotation: Any) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from keys(annotation)
    for inner in get_args(annotation):
        yield from inner_keys(inner)


def test_every_key_is_documented() -> None:
    text = (PROJECT / "docs" / "configuration.md").read_text("utf-8")
    sections = {"store", "broker", "scheduler", "delivery", "log", "metrics"}
    lists = {"accounts", "notifications", "digests", "relays", "options"}
    written = set(keys(Settings)) - sections - lists
    assert {key for key in written if f"| `{key}` |" not in text} == set()
