-- refund.lua: give back what one call took from its limits, once.
--
-- KEYS[1..n]  the log of each limit, as decide.lua keeps it
-- ARGV[2i-1]  the score of the call's entry in log i (i = 1..n): its time (us)
-- ARGV[2i]    the member of that entry
-- RETURNS     how many of the entries were taken out
--
-- Idempotent: an entry that was refunded, trimmed, reset or has expired is not there, and
-- no later call is given its score and member, unless the clock is set back after the refund
-- or the reset. Nothing else of a log changes, its time to live neither.

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The units beyond one that the call took, by the entry's member, which decide.lua describes.
local function extraUnits(member)
  return (tonumber(string.match(member, '^x(%d+)$', 7) or string.match(member, '^x(%d+)$', 9)) or 1) - 1
end

local found = 0
for i, key in ipairs(KEYS) do
  local score, member = ARGV[2 * i - 1], ARGV[2 * i]
  if tonumber(redis.call('ZSCORE', key, member) or -1) == tonumber(score) then
    found = found + 1
    local passed = tonumber(score) < now
    if passed then
      redis.call('ZREM', key, member)
    else
      -- decide.lua says why. The last one of a microsecond stands for those before it.
      local stays = '0.0' .. string.format('%016.0f', score)
      redis.call('ZADD', key, stays, member)
      local same = redis.call('ZRANGE', key, stays, stays, 'BYSCORE')
      for j = 1, #same - 1 do
        redis.call('ZREM', key, same[j])
      end
    end
    local extra = redis.call('ZSCORE', key, 'extra')
    if extra or not passed then
      extra = (extra or -0.5) + extraUnits(member)
      if extra < -0.5 or redis.call('ZCOUNT', key, '(0', '(1') > 0 then
        redis.call('ZADD', key, string.format('%.1f', extra), 'extra')
      else
        redis.call('ZREM', key, 'extra')
      end
    end
  end
end
return found
