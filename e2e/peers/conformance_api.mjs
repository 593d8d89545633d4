// What a person does before an agent can use a remote server: deploy it, log in there if it wants that, make an
// agent and link it.

const DEADLINE = 20_000;

export class Api {
  constructor(base, token) {
    this.base = base;
    this.headers = { authorization: `Bearer ${token}` };
  }

  async send(method, path, body) {
    const answer = await fetch(`${this.base}/api/v1${path}`, {
      method,
      headers: { ...this.headers, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  // An instance of a server at `url` that can be used.
  async deploy(url) {
    const name = `suite-${crypto.randomUUID().slice(0, 8)}`;
    const { id } = await this.send('POST', '/instances', { catalog: 'remote', name, url });
    return this.settled(id);
  }

  async settled(id) {
    const ends = Date.now() + DEADLINE;
    for (;;) {
      const instance = await this.send('GET', `/instances/${id}`);
      if (['running', 'error_runtime'].includes(instance.status)) return instance;
      if (Date.now() > ends) throw new Error(`still ${instance.status}: ${instance.error_message}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  // An agent that may use it.
  async agent(instance) {
    const { id, mcp_url } = await this.send('POST', '/agents', { name: instance.name });
    await this.send('PUT', `/agents/${id}/links/${instance.id}`);
    const { token } = await this.send('POST', `/agents/${id}/tokens`, { name: 'suite' });
    return { id, url: mcp_url, token };
  }

  async remove(instance, agent) {
    await this.send('DELETE', `/agents/${agent.id}`);
    await this.send('DELETE', `/instances/${instance.id}`);
  }
}
