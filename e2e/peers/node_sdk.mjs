// Drives an MCP endpoint with `@modelcontextprotocol/sdk`: the session era.

import { answer, capabilities, headers, job, load, walk } from './job.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { ElicitRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { StreamableHTTPClientTransport } = await load(
  '@modelcontextprotocol/sdk/client/streamableHttp.js',
);

const client = new Client({ name: 'agentopia-tests', version: '1' }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, answer);
const transport = new StreamableHTTPClientTransport(new URL(job.url), { requestInit: { headers } });
await client.connect(transport);
await walk(client, transport.protocolVersion ?? 'unknown');
