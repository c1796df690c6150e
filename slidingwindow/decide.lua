-- decide.lua: take COST units from every limit of one key, or from none; or only look.
--
-- KEYS[1..n]     the log of each limit, a sorted set; all in one slot
-- ARGV[1]        mode: "take", or "peek" to write nothing
-- ARGV[2]        cost: units asked for, 1 or more
-- ARGV[3i]       max: units of limit i (i = 1..n)
-- ARGV[3i+1]     window of limit i, us
-- ARGV[3i+2]     time to live of the log of limit i, ms: twice its window, rounded up
-- RETURNS        4n integers; for each limit: used (units, after this call),
--                retry (us until the cost fits, 0 if it does), reset (us until the
--                oldest counted hit leaves, 0 if there is none), receipt (the digits of
--                the member that was written, 0 if none was)
--
-- A log holds one entry per allowed call. Its score is the time of the call (us). Its
-- member is that time and a counter, 19 digits that Redis packs into 8 bytes, so that
-- two calls in one microsecond are two entries; a call of several units has "x<units>"
-- after them. While there are such calls, a member "extra" sorts first: its score is
-- -0.5 less the units beyond one per entry.
--
-- refund.lua takes entries out. While the clock has not passed the time of one, a later
-- call could be given the same member, and be taken for it: then it stays until the clock
-- has passed it, with a score below 1, as one that has left the window. The last one of a
-- microsecond stands for all, so they are few. "extra" is there as long as they are.
--
-- Everything is read before anything is written, because a script that fails does not
-- roll back. A refusal writes nothing. Not idempotent: the Go side must not retry it.

local cost = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Lua's own number formatting keeps 14 digits. A time has 16, also on a machine whose
-- clock was never set.
local function str(number)
  return string.format('%016.0f', number)
end

local function at(member)
  local t = tonumber(string.sub(member or '', 1, 16))
  if not t then
    error({err = 'FOREIGN the sorted set is not a log'})
  end
  return t
end

-- The score of an entry that was refunded before the clock had passed it: less than 1, in
-- the order of their times.
local function refundedScore(digits)
  return '0.0' .. digits
end

local function units(member)
  return tonumber(string.sub(member, 21)) or 1
end

-- Calls visit(member) for the members ranked from..to, in order, until it returns true.
-- Most visits end early, so the pages start small.
local function each(key, from, to, visit)
  local page = 8
  while from <= to do
    local last = math.min(from + page - 1, to)
    page = math.min(2 * page, 1024)
    for _, member in ipairs(redis.call('ZRANGE', key, from, last)) do
      if visit(member) then
        return
      end
    end
    from = last + 1
  end
end

-- What the log of KEYS[i] says, at the time that it must be judged at:
--   now      the clock, or the time of the newest entry if the clock was set back
--   used     units in the window
--   entries  in all (with "extra", if there)
--   left     of these, by rank from 0, that left the window (with "extra", if there)
--   extra    units beyond one per entry still in the window; nil without a member "extra"
--   refunded entries that stay although they were refunded, from rank 1; only with extra
local function read(key, window)
  local entries = redis.call('ZCARD', key)
  local log = {key = key, window = window, now = now, used = entries, entries = entries, left = 0}
  if entries == 0 then
    return log
  end
  -- On a machine whose clock was never set, now may be less than window.
  if redis.call('ZCOUNT', key, '(' .. str(math.max(1, now - window)), str(now)) == entries then
    return log
  end
  -- Something has left the window, or costs several units, or is ahead of the clock.
  local newest = redis.call('ZRANGE', key, -1, -1)[1]
  if at(newest) > now and tonumber(redis.call('ZSCORE', key, newest)) >= 1 then
    log.now = at(newest)
  end
  log.left = redis.call('ZCOUNT', key, '-inf', str(math.max(1, log.now - window)))
  log.used = entries - log.left
  if log.left > 0 and redis.call('ZRANGE', key, 0, 0)[1] == 'extra' then
    log.extra = 0
    log.refunded = redis.call('ZCOUNT', key, '(0', '(1')
    if log.used < log.left then
      each(key, log.left, entries - 1, function(member)
        log.extra = log.extra + units(member) - 1
      end)
    else
      log.extra = -tonumber(redis.call('ZSCORE', key, 'extra')) - 0.5
      each(key, 1 + log.refunded, log.left - 1, function(member)
        log.extra = log.extra - (units(member) - 1)
      end)
    end
    log.used = log.used + log.extra
  end
  return log
end

-- The time at which `need` of the units in the window will have left it.
local function freed(log, need)
  if need == 1 or not log.extra then
    return at(redis.call('ZRANGE', log.key, log.left + need - 1, log.left + need - 1)[1]) + log.window
  end
  local last
  each(log.key, log.left, log.entries - 1, function(member)
    last, need = member, need - units(member)
    return need <= 0
  end)
  return at(last) + log.window
end

-- Returns the digits of the new member.
local function write(log, ttl)
  -- This is the script's first write: a Redis that is out of memory or read-only
  -- refuses it, and nothing has changed.
  local suffix = cost > 1 and ('x' .. ARGV[2]) or ''
  local score = str(log.now)
  -- The counter after that of the last member of this microsecond, refunded ones too.
  local function after(member)
    return member and at(member) == log.now and tonumber(string.sub(member, 17, 19)) + 1 or 0
  end
  local function afterRefunded()
    if not log.extra or log.refunded == 0 then
      return 0
    end
    return after(redis.call('ZRANGE', log.key, refundedScore(score), refundedScore(score), 'BYSCORE')[1])
  end
  local count = afterRefunded()
  while count > 999 or redis.call('ZADD', log.key, 'NX', score, score .. string.format('%03d', count) .. suffix) == 0 do
    if count <= 999 then
      count = math.max(count + 1, after(redis.call('ZRANGE', log.key, -1, -1)[1]))
    end
    if count > 999 then
      log.now = log.now + 1
      score = str(log.now)
      count = afterRefunded()
    end
  end
  local first, kept = 0, 0
  if log.extra then
    if log.refunded > 0 then
      kept = log.refunded - redis.call('ZREMRANGEBYSCORE', log.key, '(0', '(' .. refundedScore(str(now)))
    end
    first = 1 + kept
    log.left = log.left - (log.refunded - kept)
  end
  if log.left > first then
    redis.call('ZREMRANGEBYRANK', log.key, first, log.left - 1)
  end
  if log.extra or cost > 1 then
    local extra = (log.extra or 0) + cost - 1
    if extra + kept > 0 then
      redis.call('ZADD', log.key, string.format('%.1f', -extra - 0.5), 'extra')
    else
      redis.call('ZREM', log.key, 'extra')
    end
  end
  redis.call('PEXPIRE', log.key, ttl)
  return score .. string.format('%03d', count)
end

local logs, reply = {}, {}
local allowed = true
for i, key in ipairs(KEYS) do
  local max, window = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local log = read(key, window)
  local need = log.used + cost - max
  local retry, reset = 0, 0
  if log.used > 0 then
    reset = freed(log, 1) - now
  end
  if cost > max then
    retry = window
  elseif need > 0 then
    retry = need == 1 and reset or freed(log, need) - now
  end
  allowed = allowed and retry == 0
  logs[i] = log
  reply[4 * i - 3], reply[4 * i - 2], reply[4 * i - 1], reply[4 * i] = log.used, retry, reset, 0
end

if allowed and ARGV[1] == 'take' then
  for i, log in ipairs(logs) do
    reply[4 * i] = write(log, ARGV[3 * i + 2])
    reply[4 * i - 3] = log.used + cost
    if log.used == 0 then
      reply[4 * i - 1] = log.now - now + log.window
    end
  end
end
return reply
