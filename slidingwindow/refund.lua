-- refund.lua: give back what one call took from its limits, once.
--
-- KEYS[1..n]  the log of each limit, as decide.lua keeps it
-- ARGV[i]     the member of the call's entry in log i (i = 1..n)
-- RETURNS     how many of the entries were taken out
--
-- Idempotent: an entry that was refunded, trimmed, reset or has expired is not there, and
-- no later call is given its member, unless the clock is set back after the refund or the
-- reset. Nothing else of a log changes, its time to live neither.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local found = 0
for i, key in ipairs(KEYS) do
  local member = ARGV[i]
  local score = redis.call('ZSCORE', key, member)
  if score and tonumber(score) >= 1 then
    found = found + 1
    local passed = tonumber(string.sub(member, 1, 16)) < now
    if passed then
      redis.call('ZREM', key, member)
    else
      -- decide.lua says why. The last one of a microsecond stands for those before it.
      local stays = '0.0' .. string.sub(member, 1, 16)
      redis.call('ZADD', key, stays, member)
      local same = redis.call('ZRANGE', key, stays, stays, 'BYSCORE')
      for j = 1, #same - 1 do
        redis.call('ZREM', key, same[j])
      end
    end
    local extra = redis.call('ZSCORE', key, 'extra')
    if extra or not passed then
      extra = (extra or -0.5) + (tonumber(string.sub(member, 21)) or 1) - 1
      if extra < -0.5 or redis.call('ZCOUNT', key, '(0', '(1') > 0 then
        redis.call('ZADD', key, string.format('%.1f', extra), 'extra')
      else
        redis.call('ZREM', key, 'extra')
      end
    end
  end
end
return found
