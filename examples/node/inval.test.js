'use strict';

// Against a real Redis with the functions of inval, and real clients: those that are
// installed of ioredis and redis.  REDIS_SOCKET is the path of the server's socket.  With
// INVALIDATE, a command that makes PostgreSQL invalidate the key node:1, that is tried, too.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const { after, before, describe, test } = require('node:test');
const { Cache } = require('./inval.js');

const path = process.env.REDIS_SOCKET;
const clients = {
  ioredis: () => {
    const Redis = require('ioredis');
    return new (Redis.default ?? Redis)({ path, lazyConnect: true });
  },
  redis: () => require('redis').createClient({ socket: { path } }),
};

function isInstalled(name) {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

// Passes when what is promised is true; there is no better sign to wait for.
async function until(promised) {
  for (let tries = 0; tries < 2000; tries++) {
    if (await promised()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail('waited for too long');
}

// A load that counts, and ends when told to.
function slowLoad(value) {
  const load = async () => {
    load.calls++;
    await load.gate;
    return value;
  };
  load.calls = 0;
  load.gate = new Promise((open) => { load.open = open; });
  return load;
}

for (const name of Object.keys(clients)) {
  describe(name, { skip: !isInstalled(name) && 'not installed' }, () => {
    let client, cache;
    const command = (...words) => client.call ? client.call(...words) : client.sendCommand(words);
    const close = (each) => each.quit();
    const open = async () => {
      const made = clients[name]();
      made.on('error', () => {});
      await made.connect();
      return made;
    };

    before(async () => {
      client = isInstalled(name) && await open();
      cache = client && new Cache(client, { wait: 20_000 });
    });
    after(async () => client && close(client));

    test('fills once, then hits', async () => {
      const load = slowLoad({ a: [1, null, 'ü'] });
      load.open();
      await command('DEL', 'node:hit');
      assert.deepStrictEqual(await cache.getOrSet('node:hit', load), { a: [1, null, 'ü'] });
      assert.deepStrictEqual(await cache.getOrSet('node:hit', load), { a: [1, null, 'ü'] });
      assert.strictEqual(load.calls, 1);
      assert.ok(await command('PTTL', 'node:hit') > 3_000_000);
    });

    test('null is a value, undefined is refused', async () => {
      await command('DEL', 'node:null', 'node:undefined');
      assert.strictEqual(await cache.getOrSet('node:null', async () => null), null);
      assert.strictEqual(await cache.getOrSet('node:null', async () => 1), null);
      await assert.rejects(cache.getOrSet('node:undefined', async () => undefined), /JSON/);
      assert.strictEqual(await cache.getOrSet('node:undefined', async () => 2), 2);
    });

    test('of a hundred readers on four connections one loads', async () => {
      const others = await Promise.all([open(), open(), open()]);
      const caches = [cache, ...others.map((each) => new Cache(each, { wait: 20_000 }))];
      const load = slowLoad('new');
      await command('DEL', 'node:hot');
      const reads = Array.from({ length: 100 }, (_, i) => caches[i % 4].getOrSet('node:hot', load));
      await until(() => load.calls === 1);
      load.open();
      assert.deepStrictEqual(await Promise.all(reads), Array(100).fill('new'));
      assert.strictEqual(load.calls, 1);
      await Promise.all(others.map(close));
    });

    test('what was read before an invalidation is not stored', { skip: !process.env.INVALIDATE }, async () => {
      await command('DEL', 'node:1');
      const load = slowLoad('old');
      const read = cache.getOrSet('node:1', load);
      await until(() => load.calls === 1);
      execFileSync('/bin/sh', ['-c', process.env.INVALIDATE]);
      load.open();
      assert.strictEqual(await read, 'old');
      assert.strictEqual(await cache.getOrSet('node:1', async () => 'new'), 'new');
    });

    test('a load that fails gives its lease up', async () => {
      await command('DEL', 'node:fails');
      await assert.rejects(cache.getOrSet('node:fails', async () => { throw new Error('broken'); }), /broken/);
      assert.strictEqual(await cache.getOrSet('node:fails', async () => 1), 1);
    });

    test('a stale value is served if the load fails', async () => {
      const stale = { ttl: 1, jitter: 0, stale: 60_000 };
      await command('DEL', 'node:stale');
      await cache.getOrSet('node:stale', async () => 'before', stale);
      await until(async () => await command('PTTL', 'node:stale') < 60_000);
      assert.strictEqual(
        await cache.getOrSet('node:stale', async () => { throw new Error('broken'); }, stale), 'before');
    });

    test('what is not JSON is filled anew', async () => {
      await command('SET', 'node:text', 'not JSON');
      assert.strictEqual(await cache.getOrSet('node:text', async () => 'good'), 'good');
      assert.strictEqual(await command('GET', 'node:text'), '"good"');
    });

    test('an error of Redis costs a load and stores nothing', async () => {
      await command('DEL', 'node:list');
      await command('RPUSH', 'node:list', 'x');
      assert.strictEqual(await cache.getOrSet('node:list', async () => 'loaded'), 'loaded');
      assert.strictEqual(await command('TYPE', 'node:list'), 'list');
    });

    test('a Redis that does not answer costs a load and stores nothing', async () => {
      const hasty = new Cache(client, { answer: 20 });
      await command('DEL', 'node:slow');
      await command('CLIENT', 'PAUSE', '500', 'ALL');
      assert.strictEqual(await hasty.getOrSet('node:slow', async () => 'loaded'), 'loaded');
      assert.strictEqual(await command('GET', 'node:slow'), null);
    });
  });
}
