"""A peer that shares no code with the server: Debian's python3-websockets.

Usage: independent_peer.py ws://127.0.0.1:PORT/ws [compressed]
Prints one JSON object: the name of each check, and "ok" or what went wrong.
"""

import asyncio
import json
import sys

from websockets.client import WebSocketClientProtocol, connect
from websockets.exceptions import ConnectionClosed

URL = sys.argv[1]
IS_COMPRESSED = "compressed" in sys.argv[2:]
WAIT_S = 30
MAX_PAYLOAD = 65_536
TEXT, CONTINUATION, CLOSE = 1, 0, 8


class Counting(WebSocketClientProtocol):
    """Counts the server's pings; answers them unless it is told not to."""

    pings_seen = 0
    answers_pings = True

    async def pong(self, data=b""):
        self.pings_seen += 1
        if self.answers_pings:
            await super().pong(data)


def open_peer(**options):
    return connect(URL, create_protocol=Counting, ping_interval=None, max_size=None, **options)


async def receive(ws):
    return json.loads(await asyncio.wait_for(ws.recv(), WAIT_S))


async def greeted(ws):
    greeting = await receive(ws)
    assert (greeting["type"], greeting["action"]) == ("system", "connected"), greeting
    assert isinstance(greeting["data"]["clientId"], str), greeting
    return greeting


async def echo(ws, data):
    await ws.send(json.dumps({"type": "test", "action": "echo", "id": "e", "data": data}))
    return (await receive(ws))["response"]


async def closed_with(ws):
    """The code of the server's close, after what it still had to say."""
    try:
        while True:
            await asyncio.wait_for(ws.recv(), WAIT_S)
    except ConnectionClosed:
        return ws.close_code


def echo_frame(size):
    head, tail = '{"type":"test","action":"echo","data":"', '"}'
    return head + "x" * (size - len(head) - len(tail)) + tail


async def greeting():
    async with open_peer() as ws:
        await greeted(ws)


async def request_and_reply():
    async with open_peer() as ws:
        await greeted(ws)
        await ws.send('{"type":"test","action":"echo","id":7,"data":{"a":[1,null,true]}}')
        reply = await receive(ws)
        assert reply == {"type": "test", "action": "echo", "id": 7, "response": {"a": [1, None, True]}}, reply


async def unicode_text():
    text = "Grüße, 世界, \U0001f600, e\u0301, \u0000, \u2028"
    async with open_peer() as ws:
        await greeted(ws)
        assert await echo(ws, text) == text
        await ws.send(json.dumps({"type": "test", "action": "echo", "data": text}, ensure_ascii=False))
        assert (await receive(ws))["response"] == text


async def binary_frame():
    async with open_peer() as ws:
        await greeted(ws)
        await ws.send('{"type":"test","action":"echo","id":1,"data":"ü"}'.encode())
        assert (await receive(ws))["response"] == "ü"


async def fragments():
    text = '{"type":"test","action":"echo","id":1,"data":"ü😀"}'
    async with open_peer() as ws:
        await greeted(ws)
        await ws.send(list(text))
        assert (await receive(ws))["response"] == "ü😀"
        # Cut inside of a character, with a ping between the parts.
        whole = text.encode()
        cut = whole.index("😀".encode()) + 2
        await ws.write_frame(False, TEXT, whole[:cut])
        await asyncio.wait_for(await ws.ping(b"between"), WAIT_S)
        await ws.write_frame(True, CONTINUATION, whole[cut:])
        assert (await receive(ws))["response"] == "ü😀"


async def client_pings():
    async with open_peer() as ws:
        await greeted(ws)
        for payload in (b"", b"x", bytes(125)):
            await asyncio.wait_for(await ws.ping(payload), WAIT_S)


async def server_pings():
    async with open_peer() as ws:
        await greeted(ws)
        while ws.pings_seen < 2:
            await asyncio.sleep(0.05)
        assert await echo(ws, "still here") == "still here"


async def unanswered_ping():
    async with open_peer() as ws:
        ws.answers_pings = False
        assert await closed_with(ws) == 4201, ws.close_code


async def payload_limit():
    async with open_peer() as ws:
        await greeted(ws)
        await ws.send(echo_frame(MAX_PAYLOAD))
        assert len((await receive(ws))["response"]) > MAX_PAYLOAD - 100
        await ws.send(echo_frame(MAX_PAYLOAD + 1))
        assert await closed_with(ws) == 1009, ws.close_code


async def bad_utf8():
    for parts in ([b"\xff"], [b'"\xe2\x82', b'"']):
        async with open_peer() as ws:
            await greeted(ws)
            for index, part in enumerate(parts):
                await ws.write_frame(index == len(parts) - 1, TEXT if index == 0 else CONTINUATION, part)
            assert await closed_with(ws) == 1007, ws.close_code


async def bad_frames():
    async with open_peer() as ws:
        await greeted(ws)
        for _ in range(10):
            await ws.send("{")
        assert await closed_with(ws) == 4004, ws.close_code


async def close_handshake():
    for code in (1000, 1001, 3000, 4999):
        async with open_peer() as ws:
            await greeted(ws)
            await asyncio.wait_for(ws.close(code, "done"), WAIT_S)
            assert (ws.close_rcvd.code, ws.close_rcvd_then_sent) == (code, False), ws.close_rcvd


async def close_without_code():
    async with open_peer() as ws:
        await greeted(ws)
        await ws.write_frame(True, CLOSE, b"")
        assert await closed_with(ws) in (1005, 1000), ws.close_code


async def many_in_order():
    count = 2_000
    async with open_peer() as ws:
        await greeted(ws)

        async def send_all():
            for number in range(count):
                await ws.send(json.dumps({"type": "test", "action": "echo", "data": number}))

        sending = asyncio.create_task(send_all())
        assert [(await receive(ws))["response"] for _ in range(count)] == list(range(count))
        await sending


async def subprotocol():
    async with open_peer(subprotocols=["chat.v2", "chat.v1"]) as ws:
        await greeted(ws)
        # A client must fail on a subprotocol it did not offer; the server picks one of them, or none.
        assert ws.subprotocol in (None, "chat.v2", "chat.v1"), ws.subprotocol
        assert await echo(ws, 1) == 1


async def compression_offered():
    async with open_peer(compression="deflate") as ws:
        await greeted(ws)
        names = [extension.name for extension in ws.extensions]
        assert names == (["permessage-deflate"] if IS_COMPRESSED else []), names
        assert await echo(ws, "x" * 5_000) == "x" * 5_000


CHECKS = [
    greeting,
    request_and_reply,
    unicode_text,
    binary_frame,
    fragments,
    client_pings,
    server_pings,
    unanswered_ping,
    payload_limit,
    bad_utf8,
    bad_frames,
    close_handshake,
    close_without_code,
    many_in_order,
    subprotocol,
    compression_offered,
]


async def main():
    results = {}
    for check in CHECKS:
        try:
            await asyncio.wait_for(check(), WAIT_S)
            results[check.__name__] = "ok"
        except Exception as error:
            results[check.__name__] = repr(error)
    print(json.dumps(results))


asyncio.run(main())
