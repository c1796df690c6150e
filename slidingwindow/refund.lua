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

local found, heads = 0, {}
for i, key in ipairs(KEYS) do
  local head = redis.call('ZRANGE', key, '0', '0')[1]
  local mark = head and #head == 25 and string.sub(head, 1, 4)
  if head and mark ~= 'log1' and mark ~= 'logn' then
    return redis.error_reply('FOREIGN the sorted set is not a log')
  end
  heads[i] = head
end
for i, key in ipairs(KEYS) do
  local head, time, taken, units = heads[i], ARGV[4 * i - 3], tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local zero = ARGV[4 * i] == '1' and '0' or ''
  local member, had = struct.pack('>I7', time) .. (taken > 1 and string.format('%d', taken) or ''), taken
  if zero == '0' then
    member, had = '', 0
    for _, entry in ipairs(redis.call('ZRANGE', key, time, time, 'BYSCORE')) do
      if string.byte(entry, 8) == 48 then member, had = entry, tonumber(string.sub(entry, 8)) end
    end
  end
  if head and had >= taken and redis.call('ZREM', key, member) == 1 then
    found, units = found + 1, had - taken + units
    local score = redis.call('ZSCORE', key, head) + had - math.max(units, 1)
    local new = (score < -1 and 'logn' or string.sub(head, 1, 4)) .. string.sub(head, 5)
    local text = (units > 1 or zero == '0') and zero .. string.format('%d', units) or ''
    while units > 0 and redis.call('ZADD', key, time, struct.pack('>I7', time) .. text) == 0 do
      time = string.format('%d', time + 1) -- another call has that time and these units
    end
    redis.call('ZADD', key, string.format('%d', score), new)
    if new ~= head then redis.call('ZREM', key, head) end
    if redis.call('ZCARD', key) == 1 then redis.call('UNLINK', key) end
  end
end
return found
