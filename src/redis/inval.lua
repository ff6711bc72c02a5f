#!lua name=inval

-- What readers of Redis call, so that none of them ever stores, or sees, an old
-- value; and what those who invalidate call.  inval's worker loads it
-- (src/target/library.c).  docs/readers.md says how to use it.
--
-- A value lives at its own key, as a plain string.  Beside it may live
--   lease  string  the token of the reader who may fill the key     (lease_ms)
--   stale  string  how long the value is stale at the end of its life
--                                                          (as long as the value)
--   fence  zset    owner -> time until which it must be heard of    (one day)
-- The lease is a permission: whatever loses it can only refuse a fill.  So an
-- invalidation may be repeated, delayed, and done by a plain UNLINK.  The fence is
-- a ban: while it stands, nothing is served.

-- With every change of what a function does.  A library is only replaced by a
-- newer one.
local VERSION = 4

local LEASE_MS = 5000
local MOST_ENTRIES = 2 ^ 53 -- from there on not every number is one here
local FENCE_KEPT_MS = 86400000 -- how long an owner that is never heard of again is remembered

-- Names of markers ---------------------------------------------------------

-- A marker has its key's hash slot, and its name begins with its key's, so that
-- namespaces, ACL patterns and SCAN by prefix hold for it as well.  src/redis/marker.c
-- makes the same names.

local crc_of_byte -- made at the first call: while a library loads, Redis 7.0 lends no bit operations

local function make_crc_of_byte()
  crc_of_byte = {}
  for byte = 0, 255 do
    local crc = byte * 256
    for _ = 1, 8 do
      crc = crc * 2
      if crc >= 65536 then crc = bit.bxor(crc - 65536, 0x1021) end
    end
    crc_of_byte[byte] = crc
  end
end

-- CRC16 as in Redis Cluster, of text that goes on where crc stands.
local function crc16(text, crc)
  if not crc_of_byte then make_crc_of_byte() end
  for i = 1, #text do
    local high = math.floor(crc / 256)
    crc = bit.bxor(crc % 256 * 256, crc_of_byte[bit.bxor(high, text:byte(i))])
  end
  return crc
end

-- Two bytes, neither of them a brace, that lead from this CRC back to that slot:
-- CRC16 run backwards over two bytes, from each of the four CRCs that have the slot.
-- One of the four always gives such a pair.
local function two_bytes(crc, slot)
  for wanted = slot, 65535, 16384 do
    local back = wanted
    for _ = 1, 16 do
      if back % 2 == 1 then
        back = bit.bxor(back, 0x1021) / 2 + 32768
      else
        back = back / 2
      end
    end
    back = bit.bxor(back, crc)
    local bytes = string.char(math.floor(back / 256), back % 256)
    if not bytes:find('[{}]') then return bytes end
  end
end

local function beside(key, kind)
  local name = key .. ':inval-' .. kind
  if key:find('^[^{]*{[^}]+}') then return name end               -- keeps the key's hash tag
  if key:find('^[^{}]+$') then return name .. '{' .. key .. '}' end -- the key becomes the hash tag
  local crc = crc16(key, 0)                                         -- odd braces, no hash tag
  return name .. two_bytes(crc16(name:sub(#key + 1), crc), crc % 16384)
end

-- Whether a name is that of a marker which is removed for nobody: a fence is its
-- owner's, and of what a set has listed somebody is just removing the keys.
local function stays(name)
  return name:find(':inval-fence', 1, true) or name:find(':inval-taken', 1, true)
end

-- Time and arguments -------------------------------------------------------

local granted = 0

-- Never the same twice: a repetition would take a restart (or a failover) and a
-- clock that went back to the same microsecond.
local function new_token()
  local now = redis.call('TIME')
  granted = granted + 1
  return string.format('%s%06d-%d', now[1], now[2], granted)
end

local function now_ms()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Numbers have fewer digits than a double keeps, and so do their sums.
local function whole(text, default, least, what)
  local number = default
  if text then
    number = text:find('^%-?%d+$') and #text <= 15 and tonumber(text)
  end
  if not number or number < least then
    error({ err = 'ERR inval: ' .. what .. ' must be a whole number, at least ' .. least })
  end
  return number
end

local function decimal(number)
  return string.format('%.0f', number)
end

local function check_count(keys, args, least, most)
  if #keys ~= 1 or #args < least or #args > most then
    error({ err = 'ERR inval: wrong number of keys or arguments' })
  end
end

-- Fences -------------------------------------------------------------------

-- Is a strict commit under way?  An owner whose time has passed without a word may
-- have committed: then the value is removed as that commit would have done.
local function fenced(key)
  local fence = beside(key, 'fence')
  if redis.call('EXISTS', fence) == 0 then return false end
  if redis.call('ZREMRANGEBYSCORE', fence, '-inf', decimal(now_ms())) > 0 then
    redis.call('UNLINK', beside(key, 'lease'), key)
  end
  return redis.call('EXISTS', fence) == 1
end

-- FCALL inval_fence n fence... owner life_ms -> at how many the owner is new
-- The keys are the markers themselves (declared, and alone in their commands, so
-- that a cluster can redirect them).  Again for the same owner: renews it; then a
-- reply other than 0 says that fences had been lost.
local function inval_fence(keys, args)
  if #keys < 1 or #args ~= 2 then
    error({ err = 'ERR inval: wrong number of keys or arguments' })
  end
  local deadline = decimal(now_ms() + whole(args[2], nil, 1, 'life_ms'))
  local new = 0
  for _, fence in ipairs(keys) do
    new = new + redis.call('ZADD', fence, deadline, args[1])
    redis.call('PEXPIRE', fence, FENCE_KEPT_MS)
  end
  return new
end

-- Readers ------------------------------------------------------------------

-- How long a value will be fresh; below 0 if it is stale.  A marker that was
-- evicted makes a stale value look fresh until it ends, and no longer.
local function fresh_ms(key)
  local left = redis.call('PTTL', key)
  if left < 0 then return math.huge end
  return left - (tonumber(redis.call('GET', beside(key, 'stale')) or 0) or 0)
end

-- FCALL inval_get 1 key [lease_ms [early_ms]]
--   -> hit value | fill token stale | wait stale | bypass
-- What is not there is nil in the answer, so that it keeps its length.  Writes
-- nothing on a hit.
local function inval_get(keys, args)
  check_count(keys, args, 0, 2)
  local key = keys[1]
  local lease_ms = whole(args[1], LEASE_MS, 1, 'lease_ms')
  local early_ms = whole(args[2], 0, -1, 'early_ms')

  if fenced(key) then return { 'bypass' } end

  local value = redis.call('GET', key)
  local left = value and fresh_ms(key) or -1
  if left >= 0 and early_ms >= 0 and left >= early_ms then return { 'hit', value } end

  local token = new_token()
  if redis.call('SET', beside(key, 'lease'), token, 'NX', 'PX', decimal(lease_ms)) then
    return { 'fill', token, value }
  end
  if left >= 0 then return { 'hit', value } end -- somebody else refreshes it
  return { 'wait', value }
end

-- FCALL inval_set 1 key token value ttl_ms [stale_ms] -> 1 stored, 0 refused
local function inval_set(keys, args)
  check_count(keys, args, 3, 4)
  local key, token, value = keys[1], args[1], args[2]
  local ttl_ms = whole(args[3], nil, 1, 'ttl_ms')
  local stale_ms = whole(args[4], 0, 0, 'stale_ms')

  local lease, stale = beside(key, 'lease'), beside(key, 'stale')
  if redis.call('GET', lease) ~= token then return 0 end

  local life_ms = decimal(ttl_ms + stale_ms)
  redis.call('SET', key, value, 'PX', life_ms)
  redis.call('UNLINK', lease, stale)
  if stale_ms > 0 then
    redis.call('SET', stale, decimal(stale_ms), 'PX', life_ms)
  end
  return 1
end

-- FCALL inval_release 1 key token -> 1 given up, 0 it was not yours
local function inval_release(keys, args)
  check_count(keys, args, 1, 1)
  local lease = beside(keys[1], 'lease')
  if redis.call('GET', lease) ~= args[1] then return 0 end
  return redis.call('UNLINK', lease)
end

-- Dependency sets ----------------------------------------------------------

-- FCALL inval_members 1 set [namespace] -> how many names went, leases included
-- One server, or a set whose members share its hash tag: one atomic step.  What the
-- caller may not remove keeps none of the others, but the set: it is still owed.
local function inval_members(keys, args)
  check_count(keys, args, 0, 1)
  local set, namespace, gone, refusal = keys[1], args[1] or '', 0, nil
  for _, key in ipairs(redis.call('SMEMBERS', set)) do
    if key ~= set and key:sub(1, #namespace) == namespace and not stays(key) then
      local answer = redis.pcall('UNLINK', beside(key, 'lease'), key)
      if type(answer) == 'table' then
        refusal = answer
      else
        gone = gone + answer
      end
    end
  end
  if refusal then return refusal end
  redis.call('UNLINK', set)
  return gone
end

-- Streams ------------------------------------------------------------------

-- FCALL inval_append 1 stream most field value... -> the entry's number
-- Entries are numbered without gaps from 1 on, by what the stream itself knows of how
-- many it has had.  So a consumer that meets a gap has missed some, because the stream
-- was trimmed ("most" entries stay, or a few more; 0: all) or others write to it; and
-- one that meets a smaller number than before reads another stream of that name.
local function inval_append(keys, args)
  if #keys ~= 1 or #args < 3 or #args % 2 ~= 1 then
    error({ err = 'ERR inval: wrong number of keys or arguments' })
  end
  local stream, most, number = keys[1], whole(args[1], nil, 0, 'most'), 1
  if redis.call('EXISTS', stream) == 1 then
    local info = redis.call('XINFO', 'STREAM', stream)
    for i = 1, #info, 2 do
      if info[i] == 'entries-added' then number = info[i + 1] + 1 end
    end
    if number >= MOST_ENTRIES then
      error({ err = 'ERR inval: the stream has no numbers left' })
    end
  end
  local command = { 'XADD', stream }
  if most > 0 then
    command[3], command[4], command[5] = 'MAXLEN', '~', decimal(most)
  end
  command[#command + 1] = '*'
  command[#command + 1] = 'number'
  command[#command + 1] = decimal(number)
  for i = 2, #args do command[#command + 1] = args[i] end
  redis.call(unpack(command))
  return number
end

-- The library itself -------------------------------------------------------

local function register(name, callback, flags)
  redis.register_function({ function_name = name, callback = callback, flags = flags })
end

-- A full server must still answer hits, take fences and give things up.
register('inval_get', inval_get, { 'allow-oom' })
register('inval_set', inval_set, {})
register('inval_release', inval_release, { 'allow-oom' })
register('inval_fence', inval_fence, { 'allow-oom' })
register('inval_members', inval_members, { 'allow-oom' })
register('inval_append', inval_append, {})
register('inval_version', function() return VERSION end, { 'no-writes' })
