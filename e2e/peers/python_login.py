"""Connects to an MCP endpoint without a token, as an editor does, with the official Python SDK (`mcp`).

The same job, and the same lines in and out, as node_login.mjs: the SDK finds the authorization server,
registers, and sends a browser there, which is the test (../src/browser.rs). Afterwards the client calls
tools, gets the next tokens for its refresh token, and calls again in the same connection.

Arguments: the endpoint, the calls as JSON.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

REDIRECT = "http://127.0.0.1:7777/callback"


def say(**what) -> None:
    print(json.dumps(what), flush=True)


async def hear() -> str:
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise EOFError("the test ended")
    return line.strip()


class Refused(Exception):
    """It is to log in once more, although it has a token."""


class Kept:
    """What a program keeps between two starts."""

    def __init__(self) -> None:
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info) -> None:
        self.client = client_info


def provider(url: str, kept: Kept) -> OAuthClientProvider:
    async def open_browser(address: str) -> None:
        if kept.tokens is not None:
            raise Refused
        say(open=address)

    async def come_back() -> AuthorizationCodeResult:
        asked = parse_qs(urlsplit(await hear()).query)
        one = {name: values[0] for name, values in asked.items()}
        return AuthorizationCodeResult(code=one["code"], state=one.get("state"), iss=one.get("iss"))

    metadata = OAuthClientMetadata(
        client_name="agentopia-tests (python)",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    return OAuthClientProvider(url, metadata, kept, open_browser, come_back)


def is_refusal(error: BaseException) -> bool:
    inner = getattr(error, "exceptions", ())
    return isinstance(error, Refused) or any(is_refusal(one) for one in inner)


async def work(url: str, calls: list) -> None:
    kept = Kept()
    auth = provider(url, kept)
    results = []
    async with httpx2.AsyncClient(auth=auth, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport) as client:

            async def call_all() -> None:
                for call in calls:
                    result = await client.call_tool(call["tool"], call["arguments"])
                    results.append(result.model_dump(mode="json", by_alias=True))

            await call_all()
            before = kept.tokens
            # As if an hour had gone by: the next request renews first.
            auth.context.token_expiry_time = 1
            await call_all()
            after = kept.tokens
            say(
                changed=after.access_token != before.access_token
                and after.refresh_token != before.refresh_token,
                results=results,
                token=after.access_token,
            )
            # Stays connected until the test has looked, then tries again.
            await hear()
            await client.call_tool(calls[0]["tool"], calls[0]["arguments"])
            say(after="let in")


def main() -> None:
    try:
        asyncio.run(work(sys.argv[1], json.loads(sys.argv[2])))
    except BaseException as error:
        # The SDK ends the whole connection with what its login ended with.
        if not is_refusal(error):
            raise
        say(after="refused")


if __name__ == "__main__":
    main()
