-- zset.lua: a sliding log as it is often written by hand.
--
-- KEYS[1]  the log, a sorted set
-- ARGV[1]  max: units in a window
-- ARGV[2]  window, us
-- ARGV[3]  a text that no other call has
-- ARGV[4]  cost: units that the call takes
-- RETURNS  1 if the call is allowed, else 0

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
if redis.call('ZCARD', KEYS[1]) + ARGV[4] > tonumber(ARGV[1]) then
  return 0
end
for unit = 1, ARGV[4] do
  redis.call('ZADD', KEYS[1], now, now .. ARGV[3] .. '-' .. unit)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2] / 1000))
return 1
