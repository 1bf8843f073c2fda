import pytest, asyncio
from tests.acceptance.test_odd_events import *
from tests.acceptance.test_odd_events import _dispatch
async def test_dbg1(bridge, up):
    slack = bridge.far.remotes["slack"]
    for event in SLACK_ODDITIES:
        await slack.act("raw", event=event)
    await asyncio.sleep(5)
    print(up.output)
async def test_dbg2(bridge, up):
    text = ("discord story " + "🏳️‍🌈&<b>*" * 5000)[:40000]
    await _dispatch(bridge, text)
    s=await bridge.stored("discord story")
    await asyncio.sleep(4)
    print({k:str(v)[:60] for k,v in s.__dict__.items()})
    for d in bridge.deliveries(): print({k:str(v)[:80] for k,v in d.__dict__.items()})
    print(up.output)
