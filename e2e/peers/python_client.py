"""Drives an MCP endpoint with the official Python SDK (`mcp`), which chooses the era by itself.

Reads {"url", "token", "calls": [{"tool", "arguments"}]} from standard input; writes what it saw
as one JSON object. See ../src/peers.rs.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult


async def answer(_context, _params) -> ElicitResult:
    """What a person says whom a server asks something."""
    return ElicitResult(action="accept", content={"name": "Ada"})


async def work(job: dict) -> dict:
    headers = {"Authorization": f"Bearer {job['token']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http:
        transport = streamable_http_client(job["url"], http_client=http)
        async with Client(transport, elicitation_callback=answer) as client:
            capabilities = client.server_capabilities
            seen = {
                "version": str(client.protocol_version),
                "server": client.server_info.name,
                "tools": [tool.name for tool in (await client.list_tools()).tools],
                "resources": [],
                "prompts": [],
                "results": [],
            }
            if capabilities.resources:
                listed = await client.list_resources()
                seen["resources"] = [str(resource.uri) for resource in listed.resources]
            if capabilities.prompts:
                seen["prompts"] = [prompt.name for prompt in (await client.list_prompts()).prompts]
            for call in job["calls"]:
                result = await client.call_tool(call["tool"], call["arguments"])
                seen["results"].append(result.model_dump(mode="json", by_alias=True))
            return seen


def main() -> None:
    print(json.dumps(asyncio.run(work(json.load(sys.stdin)))))


if __name__ == "__main__":
    main()
