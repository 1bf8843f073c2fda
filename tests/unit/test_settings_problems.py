"""Every mistake in config.toml is told at once: file, line, key, what is allowed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import ConfigError
from bridge.settings import load

ACCOUNTS = '[accounts.acme]\nplatform = "one"\n[accounts.community]\nplatform = "other"\n'
RULE = ACCOUNTS + '[[notifications]]\nname = "a"\nchannels = ["acme:#a"]\nto = ["acme:#b"]\n'
DIGEST = ACCOUNTS + '[[digests]]\nname = "a"\nchannels = ["acme:#a"]\nto = ["acme:#b"]\n'


def problems(folder: Path, text: str | bytes, **environ: str) -> tuple[str, ...]:
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return caught.value.problems


def problem(folder: Path, text: str, **environ: str) -> str:
    found = problems(folder, text, **environ)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('timezone = "Europe/Berln"', '1: timezone: "Europe/Berln" is not a time zone; did you me'),
        ("timezone = 1", "1: timezone: must be a text in quotes"),
        ('admins = "acme:@ada"', "1: admins: must be a list"),
        ('admin_channel = "help"', '1: admin_channel: "help" is not an address; allowed: "accoun'),
        ("\nadmin_channel = 5", "2: admin_channel: 5 is not an address"),
        ('admin_channel = "acme:#a"', '1: admin_channel: "acme:#a" needs its account; add a sect'),
        ('evening = "24:00"', '1: evening: "24:00" is not a time of the day; allowed: "00:00"'),
        ("evening = 9", '1: evening: "9" is not a time of the day'),
        ('colour = "red"', "1: colour: unknown key; allowed: accounts, admin_channel, admins,"),
        ("store = 1", "1: store: must be a table"),
        ("[store]\nur = 1", '2: store.ur: unknown key; did you mean "url"? allowed: retention, s'),
        ('[store]\nurl = "sqlite://"', '2: store.url: "sqlite://" is no store; allowed: "sqlite:'),
        ('[store]\nurl = "postgresql://x"', '2: store.url: "postgresql://x" is no store'),
        ('[store]\nsynchronous = "off"', '2: store.synchronous: "off" is not known; allowed: "f'),
        ('[broker]\nurl = "redis"', '2: broker.url: "redis" is no broker; allowed: "embedded", "r'),
        ('[broker]\nresults = "x"', '2: broker.results: "x" is no URL; allowed: "", "db+sqlite:'),
        ('[scheduler]\nsweep = "2m"', "2: scheduler.sweep: 120 seconds are too long; allowed: 60"),
        ('[scheduler]\nsweep = "0s"', '2: scheduler.sweep: "0s" is zero'),
        ('[delivery]\ngive_up = "1mo"', '2: delivery.give_up: "1mo" has no fixed length; allowed'),
        ("[delivery]\ngive_up = 30", "2: delivery.give_up: 30 is not a duration; allowed: 30s, "),
        ('[log]\nlevel = "INFO"', '2: log.level: "INFO" is not known; allowed: "debug", "info",'),
        ('[metrics]\nlisten = "9464"', '2: metrics.listen: "9464" is no host and port; allowed:'),
        ('[metrics]\nlisten = "a:99999"', '2: metrics.listen: "a:99999" is no host and port'),
        ("[accounts.a]\nx = 1", "1: accounts.a.platform: required key is missing; for example "),
        ('[accounts."a b"]\nplatform = "x"', '1: accounts."a b": is no name for an account; al'),
        ('[accounts.dm]\nplatform = "x"', "1: accounts.dm: is no name for an account; allowed: "),
        ("accounts = 1", "1: accounts: must be a table"),
        ('accounts.a = "x"', "1: accounts.a: must be a table"),
        ('[relays]\nname = "x"', "1: relays: must be a list of tables; write [[relays]] instead "),
        ("notifications = [1]", "1: notifications[0]: must be a table"),
        (
            'working_time = { from = "09:00", to = "09:00" }',
            "1: working_time: working time is empty; from and to must differ",
        ),
        (
            'working_time = { start = "09:00", from = "09:00", to = "10:00" }',
            "1: working_time.start: unknown key; allowed: days, from, to",
        ),
    ],
)
def test_a_mistake_in_the_general_sections_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert problem(tmp_path, text).startswith(f"config.toml:{told}")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('after = "5 parsecs"', 'after: "5 parsecs" is not a duration; allowed: 30s, 5m, 2h, 1d'),
        ('after = "90"', 'after: "90" is not a duration, a number needs a unit'),
        ("after = 30", "after: 30 is not a duration; allowed: 30s, 5m, 2h, 1d, 1w, 1mo, 1y, or a"),
        ('afer = "1h"', 'afer: unknown key; did you mean "after"? allowed: after, allow_private,'),
        ('count = "work"', 'count: "work" is not known; allowed: "elapsed" or "working_time"'),
        ('unless = ["reaktion"]', 'unless[0]: "reaktion" is not known; allowed: "reply", "reac'),
        ('unless = ["reaction:✅"]', 'unless[0]: "reaction:✅" is not known'),
        ('unless = ["seen", "seen"]', 'unless: "seen" is listed twice; once is enough'),
        ('text = "{who}"', 'text: "{who}" has a field that is unknown; allowed: {author}, {chan'),
        ('text = "{author!r}"', 'text: "{author!r}" has a field that is unknown'),
        ('text = "{author.name}"', 'text: "{author.name}" has a field that is unknown'),
        ('text = "{"', "text: Single '{' encountered in format string; write {{ and }} for pl"),
        ('text = ""', "text: must not be empty"),
        ('limit = "20"', 'limit: "20" is not a limit; allowed: "20/h", "5/m", "1/s", "100/d"'),
        ("limit = 20", "limit: 20 is not a limit"),
        ('allow_private = "yes"', "allow_private: must be true or false"),
        ("when = { question = 1 }", "when.question: must be true or false"),
        ("when = { pattern = 'a(b' }", 'when.pattern: "a(b" is not a regular expression: missi'),
        ('when = { has = ["x"] }', 'when.has[0]: "x" is not known; allowed: "link" or "file"'),
        ('when = { keywords = [""] }', "when.keywords[0]: must not be empty"),
        ('when = { mentions = ["acme:#a"] }', 'when.mentions[0]: "acme:#a" cannot be used here'),
        ('when = { autors = ["acme:@a"] }', 'when.autors: unknown key; did you mean "authors"? '),
        ('quiet_hours = { from = "22:00" }', "quiet_hours.to: required key is missing; for exa"),
        (
            'quiet_hours = { from = "22:00", to = "8:00", days = "x" }',
            'quiet_hours.days: "x" names no weekdays; allowed: "mon-fri", "mon,wed"',
        ),
        ('then = [{ after = "0s", to = ["acme:#a"] }]', 'then[0].after: "0s" is zero'),
        ('then = [{ after = "1h", to = [] }]', "then[0].to: must not be empty; for example to"),
        ('debounce = { minimum = "2h" }', "debounce: minimum is longer than maximum"),
    ],
)
def test_a_mistake_in_a_notification_is_told(tmp_path: Path, line: str, told: str) -> None:
    expected = f"config.toml:9: notifications[0].{told}"
    assert problem(tmp_path, f"{RULE}{line}\n").startswith(expected)


def test_working_time_in_days_is_refused(tmp_path: Path) -> None:
    text = f'{RULE}count = "working_time"\nafter = "1d"\n'
    assert 'count = "working_time" goes by hours, not by days' in problem(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", '5: digests[0]: when? add schedule = "0 9 * * mon-fri", or every = "4h"'),
        ('every = "1mo"', '9: digests[0].every: "1mo" has no even length; use schedule = '),
        ('schedule = "* * * *"', '9: digests[0].schedule: "* * * *" is not a cron schedule, it '),
        ('schedule = "0 0 30 2 *"', '9: digests[0].schedule: "0 0 30 2 *" is not a cron schedul'),
        ("every = 4", "9: digests[0].every: 4 is not an interval; allowed: "),
        ('every = "4h"\nsections = []', "10: digests[0].sections: must not be empty"),
        ('every = "4h"\nsections = ["x"]', '10: digests[0].sections[0]: "x" is not known; allo'),
        ('every = "4h"\nempty = "say"', '10: digests[0].empty: "say" is not known; allowed: "sk'),
        ('every = "4h"\ncatch_up = "no"', '10: digests[0].catch_up: "no" is not known; allowed'),
        ('every = "4h"\nschedule = "@daily"', "9: digests[0].every: excludes schedule; allowed"),
    ],
)
def test_a_mistake_in_a_digest_is_told(tmp_path: Path, line: str, told: str) -> None:
    assert problem(tmp_path, f"{DIGEST}{line}\n").startswith(f"config.toml:{told}")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("acmee:#a", 'names an account that is not in [accounts]; did you mean "acme"? allowed: a'),
        ("nobody:#a", "names an account that is not in [accounts]; allowed: acme, community"),
        ("#a", "is not an address"),
        ("acme:", "is not an address"),
        ("acme:#", "is not an address"),
        ("dm:U123", "is not an address"),
        ("acme:#a\\n", "is not an address"),
        ("acme:@ada", 'cannot be used here; allowed: "account:#channel", "account:ID"'),
        ("dm:author", "cannot be used here"),
    ],
)
def test_a_wrong_address_is_told_with_its_own_line(tmp_path: Path, address: str, told: str) -> None:
    text = RULE.replace('["acme:#a"]', f'[\n  "acme:#a",\n  "{address}",\n]')
    expected = f'config.toml:9: notifications[0].channels[1]: "{address}" {told}'
    assert problem(tmp_path, text).startswith(expected)


def test_missing_keys_are_told_with_an_example(tmp_path: Path) -> None:
    relay = "config.toml:1: relays[0]"
    rule = "config.toml:2: notifications[0]"
    missing = "required key is missing; for example"
    assert problems(tmp_path, '[[relays]]\n[[notifications]]\nname = ""') == (
        f'{relay}.name: {missing} name = "general"',
        f'{relay}.channels: {missing} channels = ["ONE:#channel", "OTHER:#channel"]',
        f'{rule}.channels: {missing} channels = ["ACCOUNT:#channel"]',
        f'{rule}.to: {missing} to = ["ACCOUNT:#channel"]',
        'config.toml:3: notifications[0].name: "" is no name; allowed: 1 to 100 characters',
    )


@pytest.mark.parametrize("kind", ["notifications", "digests", "relays"])
def test_a_name_used_twice_is_told_with_both_lines(tmp_path: Path, kind: str) -> None:
    every = 'every = "1h"\n' if kind == "digests" else ""
    to = "" if kind == "relays" else 'to = ["acme:#b"]\n'
    section = f'[[{kind}]]\nname = "a"\nchannels = ["acme:#a", "acme:#b"]\n{to}{every}'
    line = ACCOUNTS.count("\n") + 2
    second = line + section.count("\n")
    assert problem(tmp_path, ACCOUNTS + section * 2) == (
        f'config.toml:{second}: {kind}[1].name: "a" is used already at config.toml:{line}; '
        f"names of {kind} must differ"
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = RULE + 'after = "x"\n[[digests]]\nname = "d"\nto = ["nobody:#a"]\n[log]\nlevel = "x"\n'
    found = problems(tmp_path, 'timezone = "x"\nadmins = ["$ADMIN"]\n' + text)
    assert [each.split(": ")[1] for each in found] == [
        "timezone",
        "admins[0]",
        "notifications[0].after",
        "digests[0]",
        "digests[0].channels",
        "digests[0].to[0]",
        "log.level",
    ]


JSON = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "acme:#a", "$X", "1h"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "to", "after", "from", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
TOP = ["timezone", "admins", "working_time", "store", "accounts", "notifications", "digests"]


def written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@given(st.dictionaries(st.sampled_from(TOP), JSON, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_written_is_settings_or_told_line_by_line(
    tmp_path: Path, table: dict[str, object]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("\n".join(f"{key} = {written(each)}" for key, each in table.items()), "utf-8")
    found: tuple[str, ...] = ()
    try:
        load(path, {"X": "x"})
    except ConfigError as error:
        found = error.problems or ("nothing told",)
    assert all(each.startswith("config.toml:") for each in found)
