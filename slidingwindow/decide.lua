-- decide.lua: decide a batch of calls. Each takes its cost from every limit of its key, or none.
--
-- KEYS     the log of each limit of each call, a sorted set; all in one slot
-- ARGV     runs of calls that are alike, each as one text of big endian numbers
--            kind   1 byte: "t" take; "p" peek; "m" take as many of the times as fit, in one
--                   entry; "w" take for the earliest time that fits and is not before the newest
--                   entry's, or refuse if that is after now and ahead
--            ahead  7 bytes: us; what "t" and "m" take is for any time until now and ahead, the
--                   time of its entry
--            calls  4 bytes: in this run, 1 or more
--            times  4 bytes: how often each is made, 1 or more; for "w" 1
--            n      1 byte: limits of each call, then n times
--              max     7 bytes: units of the limit
--              window  7 bytes: of the limit, us
--              cost    7 bytes: units of each time; 0 takes nothing and refuses nothing
--              share   7 bytes: hits of so many us share an entry; 1 if none do
-- RETURNS  the time (us), then for each call
--            granted  how often it was allowed, or would be, or -1 and an error
--            n times  used (units, after this call), reset (us until the oldest hit leaves, or 0)
--            n times, if granted is 0, retry (us until the cost fits, 0 if it fits this limit)
--            and that again for the other times, if some were granted and some were not
--          and for each hit whose time is not the first value plus its hit or, where hits share
--          entries, not the first value
--            call, limit, hit (each from 0), its time (us)
--
-- A log has one entry for each hit. Its score is the time of the hit (us). Its member is that
-- time, 7 bytes big endian, and the units as text if they are not 1. A hit whose member is
-- there already is written a microsecond later: an entry may lie ahead of the clock. Hits that
-- share an entry have their time rounded up to a multiple of share; the text of its units begins
-- with a 0, and more units are another member in place of the old one.
--
-- Rank 0 is the header. Its score is -1 less the units beyond one of all entries. Its member
-- is "log1" if no entry has more than one unit, else "logn", and then, 7 bytes each,
--   keep  the longest window (us) of the calls that were allowed within the last such window.
--         A call counts by its own window; one of this window removes what has left it.
--   next  the longest window since till was set, which keep will then be
--   till  a hit later than this sets the time to live, to two windows, and keep and till
--
-- A call reads all before it writes. A refusal writes nothing. Not idempotent: never send it twice.

local call, try, keys, read, format = redis.call, redis.pcall, KEYS, struct.unpack, string.format
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local nowMember = struct.pack('>I7', now)
local nowScore = #clock[2] == 6 and clock[1] .. clock[2] or format('%d', now)
local ones, many = 0x6c6f6731, 0x6c6f676e -- "log1", "logn"
local reply, size, late, waits = {now, nil, nil, nil}, 1, nil, nil
local logs -- 12 values of each limit of a call. A log that is its only one is in locals, which is faster.

-- Passes the entries from that rank that are not later than edge, and as many as have so
-- many units. Returns the time of the next, that of the last, their number and their units.
local function pass(name, rank, edge, need)
  local first, units, size, last = rank, 0, 2, nil
  while true do
    local page = redis.call('ZRANGE', name, string.format('%d', rank), string.format('%d', rank + size - 1))
    for i = 1, size do
      local member = page[i]
      local time = member and (#member > 6 and struct.unpack('>I7', member) or 0)
      if not time or time > edge and units >= need then return time, last, rank - first, units end
      rank, units, last = rank + 1, units + (tonumber(string.sub(member, 8)) or 1), time
    end
    size = math.min(4 * size, 1024)
  end
end

-- Finds free times from that one on for so many hits: the scores and members to write.
local function place(name, time, units, hits)
  local found, taken, known = {}, {}, time
  while #found < 2 * hits do
    if time == known then
      known = time + 1024
      local page = redis.call('ZRANGE', name, string.format('%d', time), string.format('%d', known - 1), 'BYSCORE')
      for i = 1, #page do taken[page[i]] = true end
    end
    local member = struct.pack('>I7', time) .. units
    if not taken[member] then found[#found + 1], found[#found + 2] = string.format('%d', time), member end
    time = time + 1
  end
  return found
end

-- Writes so many entries from that time on, and the header. beyond is what its score is to say
-- if nothing is removed, and freed how much less if what has left is. Returns what ZADD did,
-- whether that is to be removed, and the scores and members written.
local function append(name, head, window, time, units, entries, beyond, freed)
  local found = entries == 1 and {string.format('%d', time), struct.pack('>I7', time) .. units} or place(name, time, units, entries)
  while true do
    local mark, keep, next, till, first, last = ones, 0, 0, 0, struct.unpack('>I7', found[2]), struct.unpack('>I7', found[#found])
    if head then mark, keep, next, till = struct.unpack('>I4I7I7I7', head) end
    local anew = window > keep or last > till
    if anew then mark, keep, next, till = ones, math.max(next, window), window, first + math.max(next, window) end
    local removes = window == keep
    local score = beyond - (removes and freed or 0)
    local new = struct.pack('>I4I7I7I7', score > 0 and many or mark, keep, math.max(next, window), till)
    local added = redis.pcall('ZADD', name, string.format('%d', -1 - score), new, unpack(found))
    if type(added) == 'table' then return added end
    if new ~= head then added = added - 1 end
    if head and new ~= head then redis.call('ZREM', name, head) end
    if anew then redis.call('PEXPIRE', name, string.format('%d', math.ceil((first + 2 * keep - now) / 1000))) end
    if added > 0 then return added, removes, found end
    found, head = place(name, time, units, 1), new -- another hit has that time
  end
end

local key, index = 0, 0
for run = 1, #ARGV do
  local kind, ahead, calls, times, n = read('>c1I7I4I4I1', ARGV[run])
  local max, window, cost, share, member
  for i = n, 1, -1 do
    max, window, cost, share = read('>I7I7I7I7', ARGV[run], 28 * i - 10)
    member = cost > 1 and nowMember .. format('%d', cost) or nowMember
    if n > 1 then
      local b = 12 * i
      logs = logs or {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
      logs[b - 11], logs[b - 10], logs[b - 9], logs[b - 8], logs[b - 7] = max, window, cost, share, member
    end
  end
  for _ = 1, calls do
    local rest, done = times, 0
    while rest > 0 do
      local hits, at, failure = rest, now, nil
      local head, used, left, gone, extra, state, oldest
      for i = 1, n do
        local b, name = 12 * i, keys[key + i]
        if n > 1 then max, window, cost = logs[b - 11], logs[b - 10], logs[b - 9] end
        local page = try('ZRANGE', name, '0', '2')
        local first = page[2]
        head = page[1]
        left = 0; gone = 0; extra = 0; state = 0
        if head then
          if #head ~= 25 or first and #first < 7 then failure = 'FOREIGN the sorted set is not a log' break end
          local mark, keep, next, till = read('>I4I7I7I7', head)
          if mark == many then extra = -1 - call('ZSCORE', name, head)
          elseif mark ~= ones then failure = 'FOREIGN the sorted set is not a log' break end
          used = call('ZCARD', name) - 1
          if window <= next and now <= till then state = window == keep and 2 or 1 end
          oldest = first and read('>I7', first)
          if first and oldest <= now - window then
            local edge, second = now - window, page[3]
            left, gone = 1, mark == ones and 1 or tonumber(string.sub(first, 8)) or 1
            oldest = second and #second > 6 and read('>I7', second) or nil
            if second and (oldest or 0) <= edge and mark == ones then
              left = call('ZCOUNT', name, '0', format('%d', edge))
              gone, oldest = left, pass(name, left + 1, 0, 0)
            elseif second and (oldest or 0) <= edge then oldest, second, left, gone = pass(name, 1, edge, 0) end
          end
          used = used + extra - gone
        elseif page.err then failure = page.err break
        else used, oldest = 0, nil end
        if n > 1 then logs[b - 6], logs[b - 5], logs[b - 4], logs[b - 3], logs[b - 2], logs[b - 1], logs[b] = head, used, left, gone, extra, state, oldest end
        if used + cost * hits > max and cost > 0 then hits = math.max(0, math.floor((max - used) / cost)) end
      end
      if not failure and (hits == 0 or kind == 'w') then
        waits = waits or {}
        for i = 1, n do
          local b, name, fits = 12 * i, keys[key + i], now
          if n > 1 then
            max, window, cost, share = logs[b - 11], logs[b - 10], logs[b - 9], logs[b - 8]
            used, left, extra, oldest = logs[b - 5], logs[b - 4], logs[b - 2], logs[b]
          end
          local need = cost > 0 and used + cost - max or 0
          local skip = extra == 0 and need - 1 or 0 -- entries of one unit need no counting
          if need > 0 and cost > max then fits, ahead = now + window, -1 -- no wait helps
          elseif need == 1 then fits = oldest + window
          elseif need > 0 then fits = select(2, pass(name, left + 1 + skip, 0, need - skip)) + window end
          if kind == 'w' and oldest and cost > 0 then
            local newest = read('>I7', call('ZRANGE', name, '-1', '-1')[1])
            if newest > now + -now % share then fits = math.max(fits, newest) end
          end
          waits[i], at = fits - now, math.max(at, fits)
        end
        hits = kind == 'w' and at - now <= ahead and 1 or 0
      else at = now + ahead end
      if hits > 0 and kind ~= 'p' and not failure then
        for i = 1, n do
          local name, added, removes, first = keys[key + i], 0, state == 2, now
          if n > 1 then
            local b = 12 * i
            window, cost, share, member, head = logs[b - 10], logs[b - 9], logs[b - 8], logs[b - 7], logs[b - 6]
            used, left, gone, extra, state, oldest = logs[b - 5], logs[b - 4], logs[b - 3], logs[b - 2], logs[b - 1], logs[b]
            removes = state == 2
          end
          -- The header stands: state says so. A Redis that is full or read-only refuses the first write.
          if state > 0 and hits == 1 and at == now and cost > 0 and share == 1 then
            if extra > 0 then
              added = try('ZADD', name, format('%d', -extra - cost + (removes and gone - left or 0)), head, nowScore, member)
            elseif cost == 1 then added = try('ZADD', name, nowScore, member) end
          end
          if added == 0 and cost > 0 then
            local entries, units, time, zero, old, found = hits, cost, at, '', nil, nil
            if share > 1 then
              entries, units, time, zero = 1, cost * hits, at + -at % share, '0'
              local page = call('ZRANGE', name, format('%d', time), format('%d', time), 'BYSCORE')
              for j = 1, #page do
                if string.byte(page[j], 8) == 48 then old, units = page[j], units + tonumber(string.sub(page[j], 8)) end
              end
            elseif kind == 'm' then entries, units = 1, cost * hits end
            units = (units > 1 or share > 1) and zero .. format('%d', units) or ''
            added, removes, found = append(name, head, window, time, units, entries, extra + hits * cost - entries + (old and 1 or 0), gone - left)
            if found then
              if old then call('ZREM', name, old) end
              first = read('>I7', found[2])
              local told = kind == 'm' and 1 or hits
              if found[#found - 1] == nowScore or share > 1 and at == now then told = 0 end
              for hit = 0, told - 1 do
                local time = share > 1 and at or read('>I7', found[2 * hit + 2])
                if time ~= now + done + hit or share > 1 then
                  late = late or {}
                  late[#late + 1], late[#late + 2], late[#late + 3], late[#late + 4] = index, i - 1, done + hit, time
                end
              end
            end
          end
          if added ~= 1 and type(added) == 'table' then failure = added.err break end
          if cost > 0 then
            if left > 0 and removes then call('ZREMRANGEBYRANK', name, '1', left == 1 and '1' or format('%d', left)) end
            used = used + hits * cost
            if not oldest or oldest > first then oldest = first end
            if n > 1 then logs[12 * i - 5], logs[12 * i] = used, oldest end
          end
        end
      end
      if failure then
        reply[size + 1], reply[size + 2] = -1, {err = failure}
        size = size + 2
        rest = 0
      else
        size = size + 1
        reply[size] = hits
        for i = 1, n do
          if n > 1 then used, oldest, window = logs[12 * i - 5], logs[12 * i], logs[12 * i - 10] end
          reply[size + 1] = used
          reply[size + 2] = oldest and oldest + window - now or 0
          size = size + 2
        end
        if hits == 0 then
          for i = 1, n do reply[size + i] = waits[i] end
          size = size + n
        end
        rest = (hits == 0 or kind == 'm' or kind == 'p') and 0 or rest - hits
        done = done + hits
      end
    end
    key, index = key + n, index + 1
  end
end
for i = 1, late and #late or 0 do reply[size + i] = late[i] end
return reply
