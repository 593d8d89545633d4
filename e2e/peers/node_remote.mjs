// Drives an MCP endpoint as a client does that knows stdio only: `@modelcontextprotocol/sdk` talks to
// `mcp-remote`, which talks to the endpoint.

import { dirname, join } from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';

import { answer, capabilities, headers, job, load, locate, walk } from './job.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { ElicitRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { StdioClientTransport } = await load('@modelcontextprotocol/sdk/client/stdio.js');

const proxy = join(dirname(locate('mcp-remote/package.json')), 'dist/proxy.js');
// It would keep logins and locks in the home directory.
const home = mkdtempSync(join(tmpdir(), 'agentopia-mcp-remote-'));
const transport = new StdioClientTransport({
  command: process.execPath,
  // The token stays out of the process list: it is filled in from the environment.
  args: [proxy, job.url, '--header', 'Authorization:${TOKEN}', '--transport', 'http-only'],
  env: { ...process.env, TOKEN: headers.Authorization, HOME: home, MCP_REMOTE_CONFIG_DIR: home },
});
const client = new Client({ name: 'agentopia-tests', version: '1' }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, answer);
// Refused, it sends a browser to the endpoint's authorization server, and waits for it for ever.
let impatience;
const waited = new Promise((_, reject) => {
  impatience = setTimeout(() => reject(new Error('mcp-remote waits for a browser login')), 30_000);
});
try {
  await Promise.race([client.connect(transport), waited]);
  clearTimeout(impatience);
  await walk(client, 'mcp-remote');
} finally {
  clearTimeout(impatience);
  await transport.close();
  rmSync(home, { recursive: true, force: true });
}
