// What a person does before an agent can use a remote server: deploy it, log in there if it wants that, make an
// agent and link it. By the API, and by the browser where there is no other way.

const DEADLINE = 20_000;
const MOST_REDIRECTS = 10;

export class Api {
  // `base` is where we are reached; `publicUrl` is where we say that we are; `cookie` and `csrf` are those of a
  // person who is signed in.
  constructor({ base, publicUrl, cookie, csrf }) {
    Object.assign(this, { base, publicUrl, csrf });
    this.jar = new Map([cookie.split('=', 2)]);
  }

  async send(method, path, body) {
    const headers = { cookie: this.cookies(), 'x-csrf-token': this.csrf };
    if (body) headers['content-type'] = 'application/json';
    const answer = await fetch(`${this.base}/api/v1${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  }

  // An instance of a server at `url`, which can be used or says what it wants.
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
      await pause();
    }
  }

  // Logs in where a login is wanted; whether one was.
  async logIn({ id }, { client_id, client_secret }) {
    const { login } = await this.send('GET', `/instances/${id}`);
    if (!login || login.state === 'logged_in') return false;
    const request = {};
    if (client_id) request.client_id = client_id;
    if (client_secret) {
      request.client_secret = `suite-${id}`;
      await this.send('PUT', `/secrets/${request.client_secret}`, { value: client_secret });
    }
    const { url } = await this.send('POST', `/instances/${id}/login`, request);
    const page = await this.browse(url);
    if (!page.includes('is logged in')) throw new Error(`no login: ${page}`);
    await this.settled(id);
    return true;
  }

  // Follows redirects like the browser of somebody who is signed in with us and agrees to everything.
  async browse(url) {
    for (let left = MOST_REDIRECTS; left > 0; left -= 1) {
      const ours = url.startsWith(this.publicUrl);
      const at = ours ? this.base + url.slice(this.publicUrl.length) : url;
      const headers = ours ? { cookie: this.cookies() } : {};
      const answer = await fetch(at, { redirect: 'manual', headers });
      if (ours) this.keepCookies(answer);
      const location = answer.headers.get('location');
      if (!location) return answer.text();
      url = new URL(location, url).href;
    }
    throw new Error(`sent round in circles: ${url}`);
  }

  cookies() {
    return [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  keepCookies(answer) {
    for (const cookie of answer.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const end = pair.indexOf('=');
      this.jar.set(pair.slice(0, end), pair.slice(end + 1));
    }
  }

  // An agent that may use it.
  async agent(instance) {
    const { id, mcp_url } = await this.send('POST', '/agents', { name: instance.name });
    await this.send('PUT', `/agents/${id}/links/${instance.id}`);
    const { token } = await this.send('POST', `/agents/${id}/tokens`, { name: 'suite' });
    return { id, url: mcp_url.replace(this.publicUrl, this.base), token };
  }

  async remove(instance, agent) {
    await this.send('DELETE', `/agents/${agent.id}`);
    await this.send('DELETE', `/instances/${instance.id}`);
  }
}

const pause = () => new Promise((done) => setTimeout(done, 50));
