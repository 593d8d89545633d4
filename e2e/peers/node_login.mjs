// Connects to an MCP endpoint without a token, as an editor does: the official client finds the
// authorization server, registers, and sends a browser there. The browser is the test (../src/browser.rs):
// one line with the address goes out, one line with where it came back comes in. Afterwards the client calls
// tools, gets the next tokens for its refresh token, and calls again in the same session.
//
// Arguments: which package, the endpoint, the calls as JSON.

import { createInterface } from 'node:readline';

import { load } from './packages.mjs';

const [name, url, callsText] = process.argv.slice(2);
const calls = JSON.parse(callsText);
const packages = {
  client: async () => load('@modelcontextprotocol/client'),
  sdk: async () => ({
    ...(await load('@modelcontextprotocol/sdk/client/index.js')),
    ...(await load('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    ...(await load('@modelcontextprotocol/sdk/client/auth.js')),
  }),
};
const { Client, StreamableHTTPClientTransport, UnauthorizedError, auth } = await packages[name]();

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const kept = {};
const provider = {
  redirectUrl: 'http://127.0.0.1:7777/callback',
  clientMetadata: {
    client_name: `agentopia-tests (${name})`,
    redirect_uris: ['http://127.0.0.1:7777/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'the state of the tests',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  redirectToAuthorization: (address) => { kept.address = address; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  saveDiscoveryState: (state) => { kept.discovery = state; },
  discoveryState: () => kept.discovery,
};
const make = () => new Client(
  { name: 'agentopia-tests', version: '1' },
  name === 'client' ? { versionNegotiation: { mode: 'auto' } } : {},
);
const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });

const first = transport();
try {
  await make().connect(first);
  throw new Error('it was let in without a token');
} catch (error) {
  if (!(error instanceof UnauthorizedError) && !kept.address) throw error;
}
console.log(JSON.stringify({ open: String(kept.address) }));
const back = new URL((await lines.next()).value).searchParams;
if (back.get('state') !== 'the state of the tests') throw new Error(`another state: ${back}`);
await first.finishAuth(...(name === 'client' ? [back] : [back.get('code')]));

const client = make();
await client.connect(transport());
const results = [];
const callAll = async () => {
  for (const { tool, arguments: args } of calls) results.push(await client.callTool({ name: tool, arguments: args }));
};
await callAll();
const before = kept.tokens;
const refreshed = await auth(provider, { serverUrl: new URL(url) });
await callAll();
console.log(JSON.stringify({
  refreshed,
  changed: kept.tokens.access_token !== before.access_token && kept.tokens.refresh_token !== before.refresh_token,
  results,
  token: kept.tokens.access_token,
}));
// Stays connected until the test has looked, then tries again.
await lines.next();
let after = 'let in';
try {
  await client.callTool({ name: calls[0].tool, arguments: calls[0].arguments });
} catch (error) {
  after = 'refused';
}
console.log(JSON.stringify({ after }));
process.exit(0);
