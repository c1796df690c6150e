-- refund.lua: replace the units that one call took from its limits, or give them back.
--
-- KEYS[1..n]  the log of each limit, as decide.lua keeps it
-- ARGV        for each log: the time of the call's entry (us), its member, and the units
--             that it is to have, 0 for none
-- RETURNS     how many of the entries were found
--
-- An entry that was refunded, trimmed, reset or has expired is not there. One of the same time
-- and units is taken for it: a second refund can hit a later call that was given that time.

local found = 0
for i, key in ipairs(KEYS) do
  local time, member, units = ARGV[3 * i - 2], ARGV[3 * i - 1], tonumber(ARGV[3 * i])
  local head = redis.call('ZRANGE', key, '0', '0')[1] or ''
  local mark = string.sub(head, 1, 4)
  if head ~= '' and (#head ~= 25 or mark ~= 'log1' and mark ~= 'logn') then
    return redis.error_reply('FOREIGN the sorted set is not a log')
  end
  if head ~= '' and redis.call('ZREM', key, member) == 1 then
    found = found + 1
    local score = redis.call('ZSCORE', key, head) + (tonumber(string.sub(member, 8)) or 1) - math.max(units, 1)
    local new = (score < -1 and 'logn' or mark) .. string.sub(head, 5)
    local text = units > 1 and string.format('%d', units) or ''
    while units > 0 and redis.call('ZADD', key, time, struct.pack('>I7', time) .. text) == 0 do
      time = string.format('%d', time + 1) -- another call has that time and these units
    end
    redis.call('ZADD', key, string.format('%d', score), new)
    if new ~= head then redis.call('ZREM', key, head) end
    if redis.call('ZCARD', key) == 1 then redis.call('UNLINK', key) end
  end
end
return found
