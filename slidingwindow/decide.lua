-- decide.lua: decide a batch of calls. Each takes its cost from every limit of its key, or
-- from none; or only looks.
--
-- KEYS           the log of each limit of each call, a sorted set; all in one slot
-- ARGV[1]        mode: "take", or "peek" to write nothing
-- ARGV[2...]     runs of calls that are alike, each as
--                  calls  in this run, 1 or more
--                  times  how often each is made, 1 or more
--                  cost   units of each time, 1 or more
--                  n      limits of each call, then n times
--                    max     units of the limit
--                    window  of the limit, us
--                    ttl     time to live of its log, ms: twice its window, rounded up
-- RETURNS        the time (us), then for each call
--                  granted  how often it was allowed, or -1 and an error
--                  n times  used (units, after this call), reset (us until the oldest
--                           counted hit leaves, 0 if there is none)
--                  n times, if it was refused in the end, retry (us until the cost fits, 0
--                           if this limit has room)
--                and for each hit whose receipt is not (time, 0, 1, ...), at the end:
--                  call, limit, hit (each from 0), its time (us), its number in that us
--
-- A log holds one entry per allowed call. Its score is the time of the call (us). Its
-- member is the low 48 bits of that time, 6 bytes big endian. A hit that is not the first of
-- its microsecond has 32768 plus its number after them, 2 bytes; a call of several units has
-- "x<units>" at the end: so members sort by number. While there are such calls, a member
-- "extra" sorts first: its score is -0.5 less the units beyond one per entry.
--
-- If the clock is set back, entries ahead of it count and leave later, at their times.
--
-- refund.lua takes entries out. While the clock has not passed the time of one, a later
-- call could be given the same member, and be taken for it: then it stays until the clock
-- has passed it, with a score below 1, as one that has left the window. The last one of a
-- microsecond stands for all, so they are few. "extra" is there as long as they are.
--
-- For each call all is read before anything is written, because a script that fails does
-- not roll back. A refusal writes nothing. An error of one call is no other's. Not
-- idempotent: the Go side must not retry it.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local nowText = #clock[2] == 6 and clock[1] .. clock[2] or string.format('%.0f', now)
local now48 = now % 281474976710656
local nowMember = struct.pack('>I2I4', math.floor(now48 / 4294967296), now48 % 4294967296)

local reply, size = {now, 0, 0, 0}, 1 -- size is that of the reply; a lone call needs no more
local receipts -- nil while there are none

-- Decides a call of one unit on one limit of 1 or more, whose log has nothing unusual in it:
-- by far the most calls. Returns false, having written nothing, if it is not such a call; then
-- all is read anew, and what is wrong is told.
--
-- It reads the time of the oldest entry from its member, as Redis takes twice as long to give
-- a score. A sorted set that is none of ours gives years, or with windows of more than an hour
-- may not: there the score is compared, as it is of all that is removed.
--
-- It calls no function of ours: to make one takes a fair part of the time of a lone call.
local function decideSimple(key, max, window, ttl)
  local entries = redis.pcall('ZCARD', key)
  local used, left, resets, lives = entries, 0, window, nil
  if entries ~= 0 then
    if type(entries) ~= 'number' then
      return false
    end
    local long = window > 3600000000
    local oldest = long and redis.call('ZRANGE', key, '0', '0', 'WITHSCORES') or redis.call('ZRANGE', key, '0', '0')
    if not oldest[1] or #oldest[1] < 6 then
      return false
    end
    local high, low = struct.unpack('>I2I4', oldest[1])
    local time48 = high * 4294967296 + low
    if long and time48 ~= oldest[2] % 281474976710656 then
      return false
    end
    local age = (now48 - time48) % 281474976710656 -- years, if it is ahead of the clock
    if age >= window then
      left = redis.call('ZCOUNT', key, '-inf', string.format('%.0f', now - window))
      if left == 0 or left > 8 then
        return false
      end
      oldest = redis.call('ZRANGE', key, '0', tostring(left), 'WITHSCORES')
      local kept = oldest[2 * left + 1]
      if time48 ~= oldest[2] % 281474976710656 or kept and #kept < 6 then
        return false
      end
      used, age = entries - left, 0
      if kept then
        high, low = struct.unpack('>I2I4', kept)
        if high * 4294967296 + low ~= oldest[2 * left + 2] % 281474976710656 then
          return false
        end
        age = now - oldest[2 * left + 2]
      end
    end
    resets = window - age
    if used >= max then
      if used > max then
        return false
      end
      reply[size + 1], reply[size + 2], reply[size + 3], reply[size + 4] = 0, used, resets, resets
      size = size + 4
      return true
    end
    lives = redis.call('PTTL', key)
    if lives < 0 then
      return false -- a log has a time to live
    end
  end
  -- The first write: a Redis that is out of memory or read-only refuses it.
  if redis.pcall('ZADD', key, 'NX', nowText, nowMember) ~= 1 then
    return false
  end
  if left > 0 then
    redis.call('ZREMRANGEBYRANK', key, '0', tostring(left - 1))
  end
  if not lives or lives <= window / 1000 or lives > window / 500 + 1 then
    redis.call('PEXPIRE', key, ttl)
  end
  -- This hit comes first if all others are ahead of the clock.
  reply[size + 1], reply[size + 2], reply[size + 3] = 1, used + 1, math.min(resets, window)
  size = size + 3
  return true
end

-- Returns the function that decides any call. What it is made of is made only when a call
-- needs it: to make it takes longer than to decide a simple one.
local function general()
  receipts = {}

  -- Lua's own number formatting keeps 14 digits. A time has 16.
  local function str(number)
    return string.format('%.0f', number)
  end

  local function packTime(time)
    time = time % 281474976710656
    return struct.pack('>I2I4', math.floor(time / 4294967296), time % 4294967296)
  end

  -- A member is checked before what it belongs to is taken for a log. Returns the score.
  local function check(member, score)
    local high, low
    if #member >= 6 then
      high, low = struct.unpack('>I2I4', member)
    end
    if not high or high * 4294967296 + low ~= score % 281474976710656 then
      error({err = 'FOREIGN the sorted set is not a log'})
    end
    return score
  end

  -- Keeps the time to live of a log between one and two windows.
  local function keep(key, window, ttl)
    local left = redis.call('PTTL', key)
    if left <= window / 1000 or left > window / 500 + 1 then
      redis.call('PEXPIRE', key, ttl)
    end
  end

  local function say(value)
    size = size + 1
    reply[size] = value
  end

  -- The time of the entry of that rank.
  local function at(key, rank)
    local entry = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
    return check(entry[1], tonumber(entry[2]))
  end

  -- The number of a hit in its microsecond.
  local function numberOf(member)
    local high, low = string.byte(member, 7, 8)
    return low and high >= 128 and high * 256 + low - 32768 or 0
  end

  -- The number after those of the entries of that score.
  local function nextNumber(key, score)
    local last = redis.call('ZRANGE', key, score, score, 'BYSCORE', 'REV', 'LIMIT', 0, 1)[1]
    return last and numberOf(last) + 1 or 0
  end

  -- The score of an entry that was refunded before the clock had passed it: less than 1, in
  -- the order of their times.
  local function refundedScore(time)
    return '0.0' .. string.format('%016.0f', time)
  end

  local function units(member)
    return tonumber(string.match(member, '^x(%d+)$', 7) or string.match(member, '^x(%d+)$', 9)) or 1
  end

  -- Calls visit(member, score) for the entries ranked from..to, in order, until it returns
  -- true. Most visits end early, so the pages start small.
  local function each(key, from, to, visit)
    local page = 8
    while from <= to do
      local last = math.min(from + page - 1, to)
      page = math.min(2 * page, 1024)
      local entries = redis.call('ZRANGE', key, from, last, 'WITHSCORES')
      for i = 1, #entries, 2 do
        if visit(entries[i], entries[i + 1]) then
          return
        end
      end
      from = last + 1
    end
  end

  -- What a log says:
  --   entries  in all (with "extra", if there)
  --   used     units in the window; only those of all entries until they are counted
  --   left     entries that left the window, by rank from 0 (with "extra", if there); nil if
  --            not counted yet, and there are some
  --   oldest   time of the oldest entry in the window, if known
  --   extra    units beyond one per entry still in the window; nil without a member "extra"
  --   refunded entries that stay although they were refunded, from rank 1; only with extra
  local function read(key, window)
    local entries = redis.call('ZCARD', key)
    local log = {key = key, window = window, entries = entries, used = entries, left = 0}
    if entries == 0 then
      return log
    end
    local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    local first = tonumber(oldest[2])
    if first >= 1 then
      check(oldest[1], first)
      if first > now - window then
        log.oldest = first
      else
        log.left = nil
      end
      return log
    end
    if oldest[1] ~= 'extra' then
      error({err = 'FOREIGN the sorted set is not a log'}) -- "extra" comes before all else below 1
    end
    local newest = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')
    if tonumber(newest[2]) >= 1 then
      check(newest[1], tonumber(newest[2]))
    end
    -- On a machine whose clock was never set, now may be less than window.
    log.left = redis.call('ZCOUNT', key, '-inf', str(math.max(1, now - window)))
    log.used = entries - log.left
    log.extra = 0
    log.refunded = redis.call('ZCOUNT', key, '(0', '(1')
    if log.used < log.left then
      each(key, log.left, entries - 1, function(member)
        log.extra = log.extra + units(member) - 1
      end)
    else
      log.extra = -first - 0.5
      each(key, 1 + log.refunded, log.left - 1, function(member)
        log.extra = log.extra - (units(member) - 1)
      end)
    end
    log.used = log.used + log.extra
    return log
  end

  -- Counts the entries that left the window.
  local function count(log)
    if not log.left then
      log.left = redis.call('ZCOUNT', log.key, '-inf', str(now - log.window))
      log.used = log.entries - log.left
    end
  end

  -- The time at which `need` of the units in the window will have left it. The log is counted.
  local function freed(log, need)
    if not log.extra then
      if need == 1 then
        log.oldest = log.oldest or at(log.key, log.left)
        return log.oldest + log.window
      end
      return at(log.key, log.left + need - 1) + log.window
    end
    local last
    each(log.key, log.left, log.entries - 1, function(member, score)
      last, need = check(member, tonumber(score)), need - units(member)
      return need <= 0
    end)
    return last + log.window
  end

  -- How long until the oldest counted hit leaves; 0 if there is none. The log is counted.
  local function reset(log)
    return log.used > 0 and freed(log, 1) - now or 0
  end

  -- A number in that microsecond which no refunded entry has, nor one after it.
  local function unused(log, time)
    return (log.refunded or 0) > 0 and nextNumber(log.key, refundedScore(time)) or 0
  end

  -- Writes hits into the log of limit i, and notes their receipts if these are not as
  -- expected. Of the log, only used is right afterwards.
  local numbers = {} -- the next number in this microsecond, by key
  local function write(log, run, i, hits)
    local cost = run.cost
    local at, score, member = now, nowText, nowMember
    local suffix = cost > 1 and 'x' .. str(cost) or ''
    for hit = 0, hits - 1 do
      local number = numbers[log.key] or unused(log, at)
      -- The first of these is the call's first write: a Redis that is out of memory or
      -- read-only refuses it, and nothing has changed.
      while number > 4095 or redis.call('ZADD', log.key, 'NX', score, member .. (number > 0 and struct.pack('>I2', 32768 + number) or '') .. suffix) == 0 do
        if number <= 4095 then
          number = math.max(number + 1, nextNumber(log.key, score))
        else -- the microsecond is full
          at = at + 1
          score, member, number = str(at), packTime(at), unused(log, at)
        end
      end
      numbers[log.key] = at == now and number + 1 or 4096
      if at ~= now or number ~= hit then
        receipts[#receipts + 1] = {i - 1, hit, at, number}
      end
    end

    local first, kept = 0, 0
    if log.extra then
      if log.refunded > 0 then
        kept = log.refunded - redis.call('ZREMRANGEBYSCORE', log.key, '(0', '(' .. refundedScore(now))
        log.left = log.left - (log.refunded - kept)
      end
      first = 1 + kept
    end
    if log.left > first then
      redis.call('ZREMRANGEBYRANK', log.key, first, log.left - 1)
    end
    if log.extra or cost > 1 then
      local extra = (log.extra or 0) + hits * (cost - 1)
      if extra + kept > 0 then
        redis.call('ZADD', log.key, string.format('%.1f', -extra - 0.5), 'extra')
      else
        redis.call('ZREM', log.key, 'extra')
      end
    end
    log.used = log.used + hits * cost

    keep(log.key, run.windows[i], run.ttls[i])
  end

  -- Decides any call, `times` times.
  return function(keys, run)
    local cost, hits = run.cost, run.times
    local logs = {}
    for i, key in ipairs(keys) do
      local log = read(key, run.windows[i])
      logs[i] = log
      count(log)
      local max = run.maxs[i]
      if log.used + cost * hits > max then
        hits = cost > max and 0 or math.min(hits, math.max(0, math.floor((max - log.used) / cost)))
      end
    end
    local resets = {}
    if hits > 0 and not run.peek then
      for i, log in ipairs(logs) do
        -- The hits to be written come first if all others are ahead of the clock.
        resets[i] = log.used > 0 and math.min(reset(log), log.window) or log.window
      end
      for i, log in ipairs(logs) do
        write(log, run, i, hits)
      end
    end
    say(hits)
    local refused = hits < run.times
    for i, log in ipairs(logs) do
      if refused and resets[i] then
        log = read(log.key, log.window)
        logs[i] = log
      end
      if refused then
        count(log)
      end
      say(log.used)
      say(resets[i] or reset(log))
    end
    if refused then
      for i, log in ipairs(logs) do
        local need = log.used + cost - run.maxs[i]
        if cost > run.maxs[i] then
          say(log.window)
        elseif need > 0 then
          say(freed(log, need) - now)
        else
          say(0)
        end
      end
    end
  end
end

local decide
local arg, key, call = 2, 1, 0
while ARGV[arg] do
  local n = tonumber(ARGV[arg + 3])
  local max, window, ttl = tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 5]), ARGV[arg + 6]
  local simple = n == 1 and ARGV[arg + 1] == '1' and ARGV[arg + 2] == '1' and ARGV[1] == 'take'
    and max > 0 and window < 140737488355328
  local run
  for _ = 1, ARGV[arg] do
    if not (simple and decideSimple(KEYS[key], max, window, ttl)) then
      decide = decide or general()
      local said, noted = size, #receipts
      if not run then
        run = {
          times = tonumber(ARGV[arg + 1]), cost = tonumber(ARGV[arg + 2]), peek = ARGV[1] == 'peek',
          maxs = {}, windows = {}, ttls = {},
        }
        for i = 1, n do
          local limit = arg + 1 + 3 * i
          run.maxs[i], run.windows[i], run.ttls[i] = tonumber(ARGV[limit]), tonumber(ARGV[limit + 1]), ARGV[limit + 2]
        end
      end
      local keys = {}
      for i = 1, n do
        keys[i] = KEYS[key + i - 1]
      end
      local ok, err = pcall(decide, keys, run)
      if not ok then
        for i = #receipts, noted + 1, -1 do
          receipts[i] = nil
        end
        reply[said + 1], reply[said + 2] = -1, type(err) == 'table' and err or {err = tostring(err)}
        size = said + 2
      end
      for i = noted + 1, #receipts do
        table.insert(receipts[i], 1, call)
      end
    end
    key, call = key + n, call + 1
  end
  arg = arg + 4 + 3 * n
end
for _, receipt in ipairs(receipts or {}) do
  for _, value in ipairs(receipt) do
    size = size + 1
    reply[size] = value
  end
end
for i = size + 1, #reply do
  reply[i] = nil -- what a call had said before it failed
end
return reply
