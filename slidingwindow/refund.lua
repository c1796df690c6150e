-- refund.lua: replace the units that one call took from its limits, or give them back.
--
-- KEYS[1..n]  the log of each limit, as decide.lua keeps it
-- ARGV        for each log: the time of the call's entry (us), the units that the call took,
--             those that it is to have, 0 for none, and "1" if calls share the entry, else "0"
-- RETURNS     how many of the entries were found
--
-- An entry that was refunded, trimmed, reset or has expired is not there. One of the same time
-- and units is taken for it: a second refund can hit a later call that was given that time. In
-- an entry that calls share, a second refund takes the units of the others.

local call, format = redis.call, string.format
local found, heads = 0, {}
for i, key in ipairs(KEYS) do
  heads[i] = call('ZRANGE', key, '0', '0')[1]
  local mark = heads[i] and #heads[i] == 25 and string.sub(heads[i], 1, 4)
  if heads[i] and mark ~= 'log1' and mark ~= 'logn' then
    return redis.error_reply('FOREIGN the sorted set is not a log')
  end
end

for i, key in ipairs(KEYS) do
  local head, time, shares = heads[i], ARGV[4 * i - 3], ARGV[4 * i] == '1'
  local taken, units = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local function member(n)
    return struct.pack('>I7', time) .. ((n > 1 or shares) and format(shares and '0%d' or '%d', n) or '')
  end

  -- The entry, and how many units it has. Only one of a time is shared.
  local had = taken
  if shares then
    had = 0
    for _, entry in ipairs(call('ZRANGE', key, time, time, 'BYSCORE')) do
      if string.sub(entry, 8, 8) == '0' then had = tonumber(string.sub(entry, 8)) end
    end
  end

  if head and had >= taken and call('ZREM', key, member(had)) == 1 then
    found, units = found + 1, had - taken + units
    while units > 0 and call('ZADD', key, time, member(units)) == 0 do
      time = format('%d', time + 1) -- another call has that time and these units
    end
    local score = call('ZSCORE', key, head) + had - math.max(units, 1)
    local new = (score < -1 and 'logn' or string.sub(head, 1, 4)) .. string.sub(head, 5)
    call('ZADD', key, format('%d', score), new)
    if new ~= head then call('ZREM', key, head) end
    if call('ZCARD', key) == 1 then call('UNLINK', key) end
  end
end
return found
