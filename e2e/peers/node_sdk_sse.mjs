// Drives an MCP endpoint with `@modelcontextprotocol/sdk` over HTTP+SSE, the transport of 2024-11-05.

import { answer, capabilities, headers, job, load, walk } from './job.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { ElicitRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { SSEClientTransport } = await load('@modelcontextprotocol/sdk/client/sse.js');

const client = new Client({ name: 'agentopia-tests', version: '1' }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, answer);
await client.connect(new SSEClientTransport(new URL(job.url), { requestInit: { headers } }));
await walk(client, 'HTTP+SSE');
