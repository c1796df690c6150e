-- count.lua: add COST units to every counter of one key, or to none; or only look.
--
-- KEYS[1..n]  the counter of each limit, a string; all in one slot
-- ARGV[1]     mode: "take", or "peek" to write nothing
-- ARGV[2]     cost: units asked for, 1 or more
-- ARGV[2i+1]  max: units of limit i (i = 1..n)
-- ARGV[2i+2]  window of limit i, ms: the time to live of a new counter
-- RETURNS     2n integers; for each limit: used (units, with the cost even if it was not
--             added, as one above max tells), left (ms until the counter expires; its
--             window if there was none)
--
-- It adds before it knows, because a call that is allowed is then one command, and takes
-- what it added back when a limit refuses. Not idempotent: the Go side must not retry it.

local cost = tonumber(ARGV[2])
local peek = ARGV[1] == 'peek'
local allowed, reply = true, {}
for i, key in ipairs(KEYS) do
  local used
  if peek then
    used = cost + (redis.call('GET', key) or 0)
  else
    used = redis.call('INCRBY', key, ARGV[2])
  end
  allowed = allowed and used <= tonumber(ARGV[2 * i + 1])
  local left = -1
  if used > cost then
    left = redis.call('PTTL', key)
  end
  if left < 0 then
    left = tonumber(ARGV[2 * i + 2])
    if not peek then
      redis.call('PEXPIRE', key, ARGV[2 * i + 2])
    end
  end
  reply[2 * i - 1], reply[2 * i] = used, left
end
if not peek and not allowed then
  for _, key in ipairs(KEYS) do
    redis.call('DECRBY', key, ARGV[2])
  end
end
return reply
