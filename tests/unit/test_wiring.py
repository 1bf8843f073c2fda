"""Settings become accounts and rules; whatever means nothing is told with its place."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.directory import Names, forget_names, names_of, read_names
from bridge.errors import ConfigError
from bridge.messages import ChannelNamed, ChannelRef, PersonNamed
from bridge.models import Channel, Person
from bridge.store import Store
from tasks.problems import Problems
from tasks.wiring import CONFIG_VARIABLE, House, config_path, open_house, require_accounts

ACCOUNTS = """
[accounts.acme]
platform = "slack"
bot_token = "xoxb-1-2-3"
app_token = "xapp-1-2-3"

[accounts.community]
platform = "discord"
token = "MTA.x.y"
"""
RULE = """
[[notifications]]
name = "question"
channels = {channels}
to = {to}
when = {{ mentions = {mentions} }}
"""


def named(*entries: tuple[str, str, str]) -> list[ChannelNamed | PersonNamed]:
    """Entries of a directory from (account, #channel or @person, id)."""
    return [
        ChannelNamed(ChannelRef(account, native_id), name[1:])
        if name.startswith("#")
        else PersonNamed(account, native_id, name[1:])
        for account, name, native_id in entries
    ]


NAMES = names_of(
    named(
        ("acme", "#Help", "C1"),
        ("acme", "#oncall", "C2"),
        ("acme", "@Ada", "U1"),
        ("community", "#help", "D1"),
        ("community", "#twice", "D2"),
        ("community", "#twice", "D3"),
    )
)


def house(folder: Path, text: str) -> House:
    path = folder / "config.toml"
    path.write_text(text)
    return open_house(str(path), {})


def with_rule(folder: Path, channels: str, to: str, mentions: str = "[]") -> House:
    return house(folder, ACCOUNTS + RULE.format(channels=channels, to=to, mentions=mentions))


def problems(caught: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    return [line.partition(": ")[2] for line in caught.value.problems]


@pytest.mark.parametrize(
    ("address", "ref"),
    [
        ("acme:#help", ChannelRef("acme", "C1")),
        ("acme:#HELP", ChannelRef("acme", "C1")),
        ("acme:C1", ChannelRef("acme", "C1")),
        ("acme:@ada", ChannelRef("acme", "dm:U1")),
        ("acme:U1", ChannelRef("acme", "dm:U1")),
        ("community:#help", ChannelRef("community", "D1")),
    ],
)
def test_an_address_is_a_name_or_an_id(address: str, ref: ChannelRef) -> None:
    assert NAMES.resolve(address, "here") == ref


@pytest.mark.parametrize("address", ["acme:@ada", "acme:@ADA", "acme:U1"])
def test_a_person_is_a_name_or_an_id(address: str) -> None:
    assert NAMES.person(address, "here") == "U1"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("acme:#nowhere", "sees no channel '#nowhere'; check the spelling"),
        ("acme:@nobody", "sees no person '@nobody'"),
        ("acme:C9", "sees no channel or person with the id 'C9'"),
        ("community:#twice", r"means several \(D2, D3\); give the id instead: community:D2"),
        ("community:#oncall", "sees no channel"),
    ],
)
def test_an_address_that_means_nothing_says_why(address: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^here: '{address}'.*{reason}"):
        NAMES.resolve(address, "here")


def test_a_rule_is_resolved_to_the_last_address(tmp_path: Path) -> None:
    made = with_rule(
        tmp_path, '["acme:#help", "community:D1"]', '["acme:@ada", "dm:author"]', '["acme:U1"]'
    )
    (rule,) = made.rule_book(NAMES).rules
    assert rule.channels == {ChannelRef("acme", "C1"), ChannelRef("community", "D1")}
    assert rule.to == (ChannelRef("acme", "dm:U1"),)
    assert rule.to_author
    assert rule.snapshot.when.mentions == ("U1",)


def test_all_that_means_nothing_is_told_at_once_with_its_key(tmp_path: Path) -> None:
    digest = '[[digests]]\nname = "d"\nchannels = ["acme:#x"]\nto = ["acme:#y"]\nevery = "1d"\n'
    text = RULE.format(channels='["acme:#a", "acme:#b"]', to='["acme:C9"]', mentions='["acme:@m"]')
    made = house(tmp_path, ACCOUNTS + text + digest)
    with pytest.raises(ConfigError) as caught:
        made.rule_book(NAMES)
    assert [line.split(": ")[:2] for line in problems(caught)] == [
        ["notifications[0].when.mentions", "'acme:@m'"],
        ["notifications[0].channels", "'acme:#a'"],
        ["notifications[0].channels", "'acme:#b'"],
        ["notifications[0].to", "'acme:C9'"],
    ]
    with pytest.raises(ConfigError) as caught:
        made.digest_rules(NAMES)
    assert [line.split(":")[0] for line in problems(caught)] == [
        "digests[0].channels",
        "digests[0].to",
    ]


def test_a_platform_without_a_folder_lists_those_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        house(tmp_path, '[accounts.x]\nplatform = "irc"\n')
    assert problems(caught) == [
        "accounts.x.platform: platform 'irc' is unknown; allowed: discord, slack"
    ]


def test_an_adapters_own_keys_are_checked_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        house(tmp_path, '[accounts.x]\nplatform = "discord"\ntokken = "MTA.x.y"\n')
    assert caught.value.problems[0] == (
        "config.toml:1: accounts.x.token: required key is missing; "
        "every account of this platform needs it"
    )
    assert (
        'config.toml:3: accounts.x.tokken: unknown key; did you mean "token"?'
        in (caught.value.problems[1])
    )


def test_mistakes_in_several_accounts_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        house(tmp_path, '[accounts.x]\nplatform = "irc"\n[accounts.y]\nplatform = "icq"\n')
    assert len(caught.value.problems) == 2


def test_somebody_has_to_be_listened_to(tmp_path: Path) -> None:
    require_accounts(house(tmp_path, ACCOUNTS))
    with pytest.raises(ConfigError, match="accounts: there is none; add a section"):
        require_accounts(house(tmp_path, ""))


def test_the_config_is_the_given_one_then_the_environments_then_the_one_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    assert config_path() == tmp_path / "config.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, "other.toml")
    assert config_path() == tmp_path / "other.toml"
    assert config_path("given.toml") == tmp_path / "given.toml"


def test_a_problem_that_several_rules_share_is_told_once() -> None:
    def fail() -> None:
        raise ConfigError("one", "two")

    gathered = Problems()
    assert gathered.catch(fail) is None
    assert gathered.catch(fail) is None
    with pytest.raises(ConfigError) as caught:
        gathered.raise_any()
    assert caught.value.problems == ("one", "two")


def known(store: Store) -> Names:
    with store.reading() as session:
        return read_names(session)


def keep(store: Store, rows: Iterable[Channel | Person]) -> None:
    with store.transaction() as session:
        session.add_all(rows)


def test_a_name_belongs_to_the_channel_that_has_it_now(store: Store) -> None:
    keep(
        store,
        [
            Channel(account="acme", id="C-old", name="help"),
            Channel(account="acme", id="C-left", name="random"),
            Channel(account="community", id="D-other", name="help"),
            Person(account="acme", id="U-old", name="Ada"),
        ],
    )
    with store.transaction() as session:
        forget_names(session, named(("acme", "#Help", "C-new"), ("acme", "@ada", "U-new")))
    names = known(store)
    assert ("acme", "help") not in names.channels
    assert names.channels["acme", "random"] == ["C-left"]
    assert names.channels["community", "help"] == ["D-other"]
    assert ("acme", "ada") not in names.people
    assert ("acme", "C-old") in names.channel_ids


def test_a_name_that_two_have_now_stays_with_both(store: Store) -> None:
    keep(store, [Channel(account="acme", id=each, name="help") for each in ("C1", "C2")])
    with store.transaction() as session:
        forget_names(session, named(("acme", "#help", "C1"), ("acme", "#help", "C2")))
    assert sorted(known(store).channels["acme", "help"]) == ["C1", "C2"]
