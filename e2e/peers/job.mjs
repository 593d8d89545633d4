// What both Node clients share: the job from standard input, packages from NODE_MODULES, and the
// same walk over an endpoint. See ../src/peers.rs.

import { readFileSync } from 'node:fs';

export { load, locate } from './packages.mjs';

export const job = JSON.parse(readFileSync(0, 'utf8'));

export const headers = { Authorization: `Bearer ${job.token}` };

// What a person says whom a server asks something.
export const capabilities = { elicitation: {} };
export const answer = async () => ({ action: 'accept', content: { name: 'Ada' } });

export async function walk(client, version) {
  const capabilities = client.getServerCapabilities() ?? {};
  const seen = {
    version,
    server: client.getServerVersion()?.name,
    tools: (await client.listTools()).tools.map((tool) => tool.name),
    resources: [],
    prompts: [],
    results: [],
  };
  if (capabilities.resources) {
    seen.resources = (await client.listResources()).resources.map((resource) => resource.uri);
  }
  if (capabilities.prompts) {
    seen.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  }
  for (const { tool, arguments: args } of job.calls) {
    seen.results.push(await client.callTool({ name: tool, arguments: args }));
  }
  await client.close();
  console.log(JSON.stringify(seen));
}
