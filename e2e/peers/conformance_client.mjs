// What the official conformance suite starts as "the client": the product. It is given the address of a server of
// the suite; that server is deployed as a remote one, its owner logs in there if it wants that, it is linked to an
// agent, and an official client uses it through the agent's endpoint. So everything that the server sees was sent
// by the gateway or the control plane.
//
// AGENTOPIA_AT: where an installation is reached that may call loopback; AGENTOPIA_PUBLIC_URL: where it says that
// it is; AGENTOPIA_COOKIE, AGENTOPIA_CSRF: the session of somebody who is signed in there.

import { Api } from './conformance_api.mjs';
import { load } from './packages.mjs';

// A login more is worth a try, many are not.
const MOST_LOGINS = 3;

const { env } = process;
const revision = env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const api = new Api({
  base: env.AGENTOPIA_AT,
  publicUrl: env.AGENTOPIA_PUBLIC_URL,
  cookie: env.AGENTOPIA_COOKIE,
  csrf: env.AGENTOPIA_CSRF,
});
const instance = await api.deploy(process.argv[2]);
const agent = await api.agent(instance);
let logins = 0;
try {
  await loggedIn();
  const client = await connected();
  // A list lacks what a server did not give that wants another login.
  do await useAll(client);
  while (await loggedIn());
  await client.close();
} finally {
  await api.remove(instance, agent);
}

// The client that a user of this revision has.
async function connected() {
  const answer = () => ({ action: 'accept', content: {} });
  const me = { name: 'agentopia-tests', version: '1' };
  const requestInit = { headers: { authorization: `Bearer ${agent.token}` } };
  const capabilities = { elicitation: { form: { applyDefaults: true } } };
  const sessions = revision < '2026';
  const { Client } = await load(
    sessions ? '@modelcontextprotocol/sdk/client/index.js' : '@modelcontextprotocol/client',
  );
  const { StreamableHTTPClientTransport } = await load(
    sessions
      ? '@modelcontextprotocol/sdk/client/streamableHttp.js'
      : '@modelcontextprotocol/client',
  );
  const versionNegotiation = { mode: { pin: revision } };
  const client = new Client(me, sessions ? { capabilities } : { capabilities, versionNegotiation });
  if (sessions) {
    const { ElicitRequestSchema } = await load('@modelcontextprotocol/sdk/types.js');
    client.setRequestHandler(ElicitRequestSchema, answer);
  } else {
    client.setRequestHandler('elicitation/create', answer);
  }
  await client.connect(new StreamableHTTPClientTransport(new URL(agent.url), { requestInit }));
  return client;
}

// Lists and uses whatever there is.
async function useAll(client) {
  const capabilities = client.getServerCapabilities() ?? {};
  if (capabilities.tools) {
    const { tools } = await client.listTools();
    const named = (wanted) => tools.find(({ name }) => name === wanted);
    // What is to be called with what, where the suite says so; else everything, with something.
    const calls =
      context.toolCalls ??
      tools.map(({ name, inputSchema }) => ({ name, arguments: some(inputSchema) }));
    for (const call of calls) {
      if (call.name === 'json_schema_echo') {
        call.arguments = { schema: named('json_schema_2020_12_tool')?.inputSchema };
      }
      await use(() => client.callTool(call));
    }
  }
  if (capabilities.resources) {
    const { resources } = await client.listResources();
    for (const { uri } of resources) await use(() => client.readResource({ uri }));
  }
  if (capabilities.prompts) {
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) await use(() => client.getPrompt({ name }));
  }
}

// Where the server wants another login, its owner makes one and the agent tries again. Another refusal is no
// failure of ours: the suite judges what its server saw.
async function use(call) {
  do {
    try {
      console.log(JSON.stringify(await call()));
      return;
    } catch (error) {
      console.log(String(error));
    }
  } while (await loggedIn());
}

// Logs in if that is wanted; whether it was.
async function loggedIn() {
  logins += 1;
  return logins <= MOST_LOGINS && (await api.logIn(instance, context));
}

// Arguments for the properties that a tool wants.
function some({ properties = {} } = {}) {
  const examples = { number: 3, integer: 3, boolean: true, string: 'x', array: [], object: {} };
  return Object.fromEntries(
    Object.entries(properties).map(([name, { type }]) => [name, examples[type] ?? 'x']),
  );
}
