'use strict';

// Reads through a cache of which inval removes the keys: a miss is filled under a lease,
// so that of many readers one asks the database, and none stores what is old already.
// docs/readers.md has the rules that this follows.  Copy it; it needs nothing but a client,
// ioredis or node-redis (4.5 or later), that is connected.

const DEFAULTS = {
  ttl: 3_600_000,   // how long a value may live, in ms
  jitter: 0.1,      // the share of that by which it may live shorter, at random
  early: 0,         // one reader refreshes it this long before it expires, in ms
  stale: 0,         // kept this much longer, to be served while somebody refreshes it, in ms
  lease: 10_000,    // how long a fill may take before somebody else may, in ms
  wait: 2_000,      // how long to wait for somebody else's fill, in ms
  answer: 500,      // how long to wait for Redis, in ms
};

// One way to call a function, whichever client it is.
function caller(client) {
  if (typeof client.fCall === 'function')
    return (name, key, ...rest) => client.fCall(name, { keys: [key], arguments: rest.map(String) });
  if (typeof client.fcall === 'function')
    return (name, key, ...rest) => client.fcall(name, 1, key, ...rest);
  throw new TypeError('the client has neither fCall (node-redis 4.5 or later) nor fcall (ioredis)');
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Rejects when ms have passed: a cache that does not answer must not be waited for.
function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// undefined: there is no value, or none that JSON is.
function decoded(text) {
  try {
    return text == null ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

class Cache {
  // client: a connected client whose errors somebody listens to; options: as DEFAULTS.
  constructor(client, options = {}) {
    this.options = { ...DEFAULTS, ...options };
    const call = caller(client);
    this.call = (...words) => within(this.options.answer, Promise.resolve(call(...words)));
  }

  // The value of the key, a JSON value: from Redis, or by load(), which reads the database
  // outside any transaction that has written, and whose errors are the caller's.  Whatever is
  // wrong with Redis, load() is called and nothing is stored.
  async getOrSet(key, load, options = {}) {
    const policy = { ...this.options, ...options };
    const until = Date.now() + policy.wait;

    for (;;) {
      const [word, text, stale] = await this.ask(key, policy);
      if (word === 'fill') return this.fill(key, text, decoded(stale), load, policy);
      const value = decoded(text);
      if (value !== undefined) return value;
      if (word === 'bypass' || Date.now() >= until) return load();
      // A value that cannot be read is filled anew, fresh or not.
      if (word === 'hit') policy.early = -1;
      await sleep(10 + 40 * Math.random());
    }
  }

  // What Redis says: an error says that nothing may be stored.
  ask(key, { lease, early }) {
    return this.call('inval_get', key, lease, early).catch(() => ['bypass']);
  }

  async fill(key, token, stale, load, policy) {
    let value;
    try {
      value = await load();
    } catch (error) {
      this.call('inval_release', key, token).catch(() => {});
      if (stale === undefined) throw error;
      return stale;
    }
    const text = JSON.stringify(value);
    if (text === undefined) {
      this.call('inval_release', key, token).catch(() => {});
      throw new TypeError(`load() gave ${typeof value} for "${key}", which JSON cannot hold; null is a value`);
    }
    const ttl = Math.max(1, Math.round(policy.ttl * (1 - policy.jitter * Math.random())));
    // Refused, or an error: what was read is good for this caller all the same.
    await this.call('inval_set', key, token, text, ttl, policy.stale).catch(() => 0);
    return value;
  }
}

module.exports = { Cache };
