// What the official conformance suite starts as "the client": the product. It is given the address of a server of
// the suite; that server is deployed as a remote one, linked to an agent, and used through the agent's endpoint
// by `@modelcontextprotocol/sdk`. So everything that the server sees was sent by the gateway.
//
// AGENTOPIA_URL, AGENTOPIA_TOKEN: an installation that may call loopback, and an admin's personal token.

import { Api } from './conformance_api.mjs';
import { load } from './packages.mjs';

const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
const { ElicitRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
const { StreamableHTTPClientTransport } = await load(
  '@modelcontextprotocol/sdk/client/streamableHttp.js',
);

const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const api = new Api(process.env.AGENTOPIA_URL, process.env.AGENTOPIA_TOKEN);
const instance = await api.deploy(process.argv[2], context);
const agent = await api.agent(instance);

const client = new Client(
  { name: 'agentopia-tests', version: '1' },
  { capabilities: { elicitation: { applyDefaults: true } } },
);
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
const requestInit = { headers: { authorization: `Bearer ${agent.token}` } };
await client.connect(new StreamableHTTPClientTransport(new URL(agent.url), { requestInit }));
const capabilities = client.getServerCapabilities() ?? {};
if (capabilities.tools) {
  const { tools } = await client.listTools();
  // What is to be called with what, where the suite says so; else everything, with something.
  const calls = context.toolCalls ?? tools.map(({ name, inputSchema }) => ({ name, arguments: some(inputSchema) }));
  for (const call of calls) await report(() => client.callTool(call));
}
if (capabilities.resources) {
  const { resources } = await client.listResources();
  for (const { uri } of resources) await report(() => client.readResource({ uri }));
}
if (capabilities.prompts) {
  const { prompts } = await client.listPrompts();
  for (const { name } of prompts) await report(() => client.getPrompt({ name }));
}
await client.close();
await api.remove(instance, agent);

// A refusal is no failure of ours: the suite judges what its server saw.
async function report(call) {
  try {
    console.log(JSON.stringify(await call()));
  } catch (error) {
    console.log(`${scenario}: ${error}`);
  }
}

// Arguments for the properties that a tool wants.
function some({ properties = {} } = {}) {
  const examples = { number: 3, integer: 3, boolean: true, string: 'x', array: [], object: {} };
  return Object.fromEntries(
    Object.entries(properties).map(([name, { type }]) => [name, examples[type] ?? 'x']),
  );
}
