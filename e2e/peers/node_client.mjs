// Drives an MCP endpoint with `@modelcontextprotocol/client`, which chooses the era by itself.

import { answer, capabilities, headers, job, load, walk } from './job.mjs';

const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');

const client = new Client(
  { name: 'agentopia-tests', version: '1' },
  { versionNegotiation: { mode: 'auto' }, capabilities },
);
client.setRequestHandler('elicitation/create', answer);
await client.connect(new StreamableHTTPClientTransport(new URL(job.url), { requestInit: { headers } }));
await walk(client, client.getNegotiatedProtocolVersion?.() ?? 'unknown');
