-- decide.lua: decide a batch of calls. Each takes its cost from every limit of its key, or none.
--
-- A log is a sorted set with one entry for each hit. The score of an entry is the time of the hit
-- (us). Its member is that time, 7 bytes big endian, and the units as text if they are not 1. A
-- hit whose member is there already is written a microsecond later: an entry may lie ahead of the
-- clock. Hits of a limit with a share have one entry: its time is theirs, rounded up to a multiple
-- of share. The text of its units begins with a 0. More units are another member in its place.
--
-- Rank 0 is the header. Its score is -1 less the units beyond one of all entries. Its member is
-- "log1" if no entry has more than one unit, else "logn", and then, 7 bytes each,
--   keep  the longest window (us) of the calls that were allowed within the last such window.
--         A call counts by its own window; one of this window removes what has left it.
--   next  the longest window since till was set, which keep will then be
--   till  a hit later than this sets the time to live, to two windows, and keep and till
--
-- KEYS     the log of each limit of each call; all in one slot
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
--          and last, in any order, for each hit whose time is not the first value plus its hit or,
--          where hits share entries, not the first value
--            call, limit, hit (each from 0), its time (us)
--
-- A call reads all before it writes. A refusal writes nothing. Not idempotent: never send it twice.
--
-- Each command runs all of this anew, and makes the functions anew. They get all that they need as
-- arguments, as a function with upvalues costs more to make.

local call, try, read, keys = redis.call, redis.pcall, struct.unpack, KEYS
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local nowMember = struct.pack('>I7', now)
local nowScore = #clock[2] == 6 and clock[1] .. clock[2] or string.format('%d', now)

-- Walks from that rank on, past the entries that are not after edge, and until it has so many
-- units. Returns the time of the next entry, that of the last one passed, how many, their units.
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

-- Writes the header, and so many hits of this cost: an entry for each, or one for all if joins or if
-- hits share entries. Hits that share one replace it by one of all their units. extra is the units
-- beyond one of all entries, goneExtra those of the ones that are gone. Returns an error, or nil, the
-- scores and members written, and whether what is gone is to be removed.
local function take(name, head, window, cost, share, hits, now, time, joins, extra, goneExtra)
  local entries, units, old = hits, cost, nil
  if joins or share > 1 then entries, units = 1, hits * cost end
  extra = extra + hits * cost - entries
  local text = units > 1 and string.format('%d', units) or ''
  if share > 1 then
    local score = string.format('%d', time)
    for _, member in ipairs(redis.call('ZRANGE', name, score, score, 'BYSCORE')) do
      if string.sub(member, 8, 8) == '0' then
        old, units, extra = member, units + tonumber(string.sub(member, 8)), extra + 1
      end
    end
    text = string.format('0%d', units)
  end

  -- Finds the first free times from that one on, for so many entries.
  local function place(entries)
    local found, taken, known = {}, {}, time
    while #found < 2 * entries do
      if time == known then
        known = time + 1024
        local page = redis.call('ZRANGE', name, string.format('%d', time), string.format('%d', known - 1), 'BYSCORE')
        for i = 1, #page do taken[page[i]] = true end
      end
      local member = struct.pack('>I7', time) .. text
      if not taken[member] then found[#found + 1], found[#found + 2] = string.format('%d', time), member end
      time = time + 1
    end
    return found
  end

  local found = entries > 1 and place(entries) or {string.format('%d', time), struct.pack('>I7', time) .. text}
  while true do
    local first, last = struct.unpack('>I7', found[2]), struct.unpack('>I7', found[#found])
    local mark, keep, next, till = 'log1', 0, 0, 0
    if head then mark, keep, next, till = struct.unpack('>c4I7I7I7', head) end
    local renew, longest = window > keep or last > till, math.max(next, window)
    next = longest
    if renew then mark, keep, next, till = 'log1', longest, window, first + longest end
    local removes = window == keep
    local beyond = extra - (removes and goneExtra or 0)
    local new = struct.pack('>c4I7I7I7', beyond > 0 and 'logn' or mark, keep, next, till)
    local added = redis.pcall('ZADD', name, string.format('%d', -1 - beyond), new, unpack(found))
    if type(added) == 'table' then return added end
    if new ~= head then added = added - 1 end
    if new ~= head and head then redis.call('ZREM', name, head) end
    if renew then redis.call('PEXPIRE', name, string.format('%d', math.ceil((first + 2 * keep - now) / 1000))) end
    if added > 0 then
      if old then redis.call('ZREM', name, old) end
      return nil, found, removes
    end
    found, head = place(1), new -- another hit has that time
  end
end

local reply, size, elsewhere = {now, nil, nil, nil}, 1, nil
local key, index = 0, 0
-- The last rank that is read of a log, and '2' once a hit had left. The first call reads two hits.
-- The next ones read one, until a call meets a hit that has left.
local to, left = '2', nil

for run = 1, #ARGV do
  local kind, ahead, calls, times, n, max, window, cost, share = read('>c1I7I4I4I1I7I7I7I7', ARGV[run])
  local member = cost > 1 and nowMember .. string.format('%d', cost) or nowMember -- of one hit now
  local logs, log -- what the local variables hold of each limit; one limit needs only the variables
  if n > 1 then
    logs = {}
    for i = 1, n do
      max, window, cost, share = read('>I7I7I7I7', ARGV[run], 28 * i - 10)
      member = cost > 1 and nowMember .. string.format('%d', cost) or nowMember
      logs[i] = {max = max, window = window, cost = cost, share = share, member = member}
    end
  end
  local edge = now - window
  for _ = 1, calls do
    local rest, done = times, 0
    repeat
      local hits, at, waits, failure = rest, now, nil, nil

      -- 1. Look: read each log. Count how often the cost fits in all, and when it fits.
      -- used: units in the window; oldest: time of the oldest hit in it; gone: entries that have left
      -- it; extra: units beyond one each of all entries; goneExtra: those of the entries that are gone.
      -- state: how a hit now is written. 1: by one ZADD, as the header keeps its member; 2: so, and
      -- what is gone is removed; 0: by take.
      local name, head, used, oldest, gone, goneExtra, extra, state
      for i = 1, n do
        name = keys[key + i]
        if logs then
          log = logs[i]
          max = log.max; window = log.window; cost = log.cost; share = log.share; edge = now - window
        end
        local page = try('ZRANGE', name, '0', to)
        local first = page[2]
        head = page[1]
        gone = 0; goneExtra = 0; extra = 0; state = 0
        if head then
          local mark, keep, next, till
          if #head == 25 and (not first or #first > 6) then mark, keep, next, till = read('>c4I7I7I7', head) end
          if mark == 'logn' then extra = -1 - call('ZSCORE', name, head)
          elseif mark ~= 'log1' then failure = 'FOREIGN the sorted set is not a log' break end
          if share == 1 and window <= next and now <= till then state = window == keep and 2 or 1 end
          oldest = first and read('>I7', first)
          if first and oldest <= edge then
            local second, units = page[3] or to == '1' and call('ZRANGE', name, '2', '2')[1], nil
            left, gone, units = '2', 1, mark == 'logn' and tonumber(string.sub(first, 8)) or 1
            oldest = second and #second > 6 and read('>I7', second)
            if oldest and oldest <= edge and mark == 'log1' then
              gone = call('ZCOUNT', name, '0', string.format('%d', edge))
              units, oldest = gone, pass(name, gone + 1, 0, 0)
            elseif oldest and oldest <= edge then
              oldest, second, gone, units = pass(name, 1, edge, 0)
            end
            goneExtra = units - gone
          end
          used = call('ZCARD', name) - 1 - gone + extra - goneExtra
        elseif page.err then failure = page.err break
        else used, oldest = 0, nil end
        if (used + cost * rest > max or kind == 'w') and cost > 0 then
          local need, fits = used + cost - max, now
          hits = math.min(hits, math.max(0, math.floor((max - used) / cost)))
          if cost > max then fits, ahead = now + window, -1 -- no wait helps, nor for the next calls of this run
          elseif need > 0 then
            local last = oldest
            if need > 1 then
              local skip = extra == 0 and need - 1 or 0 -- entries of one unit need no counting
              local _, passed = pass(name, gone + 1 + skip, 0, need - skip)
              last = passed
            end
            if not last then failure = 'FOREIGN the header of the log counts more units than it has' break end
            fits = last + window
          end
          if kind == 'w' and oldest then
            local newest = read('>I7', call('ZRANGE', name, '-1', '-1')[1])
            if newest > now + -now % share then fits = math.max(fits, newest) end
          end
          waits = waits or {}
          waits[i], at = fits - now, math.max(at, fits)
        end
        if i < n then
          log.head = head; log.used = used; log.oldest = oldest; log.state = state
          log.gone = gone; log.goneExtra = goneExtra; log.extra = extra
        end
      end
      if kind == 'w' then hits = at - now <= ahead and 1 or 0 else at = now + ahead end

      -- 2. Take: write to each log, from the last to the first, as the values of the last one are still
      -- in the variables. A Redis that is full or read-only refuses the first write.
      reply[size + 1] = hits
      for i = failure and 0 or n, 1, -1 do
        if i < n then
          log = logs[i]
          name = keys[key + i]; window = log.window; cost = log.cost; edge = now - window
          head = log.head; used = log.used; oldest = log.oldest; state = log.state
          gone = log.gone; goneExtra = log.goneExtra; extra = log.extra
        end
        if hits > 0 and cost > 0 and kind ~= 'p' then
          local added, first, removes = 0, now, state == 2
          if state > 0 and hits == 1 and at == now then
            if extra > 0 then
              local score = -extra - cost + (removes and goneExtra or 0)
              added = try('ZADD', name, string.format('%d', score), head, nowScore, log and log.member or member)
            elseif cost == 1 then added = try('ZADD', name, nowScore, nowMember) end
          end
          if added == 0 then
            local found
            share = log and log.share or share
            added, found, removes = take(name, head, window, cost, share, hits, now, at + -at % share, kind == 'm', extra, goneExtra)
            if found then
              first = read('>I7', found[2])
              for hit = 0, kind == 'm' and 0 or hits - 1 do
                local time, expected = at, now
                if share == 1 then time, expected = read('>I7', found[2 * hit + 2]), now + done + hit end
                if time ~= expected then
                  elsewhere = elsewhere or {}
                  for _, value in ipairs({index, i - 1, done + hit, time}) do elsewhere[#elsewhere + 1] = value end
                end
              end
            end
          end
          if added ~= 1 and type(added) == 'table' then failure = added.err break end
          if gone > 0 and removes then call('ZREMRANGEBYRANK', name, '1', gone == 1 and '1' or string.format('%d', gone)) end
          used = used + hits * cost
          if not oldest or oldest > first then oldest = first end
        end
        reply[size + 2 * i] = used
        reply[size + 2 * i + 1] = oldest and oldest - edge or 0
      end

      -- 3. What is left?
      if failure then
        for i = size + 3, size + 1 + 2 * n do reply[i] = nil end
        reply[size + 1], reply[size + 2] = -1, {err = failure}
        size, rest = size + 2, 0
      else
        size = size + 1 + 2 * n
        if hits == 0 then
          for i = 1, n do reply[size + i] = waits[i] or 0 end
          size, rest = size + n, 0
        else
          done = done + hits
          rest = (kind == 'm' or kind == 'p') and 0 or rest - hits
        end
      end
    until rest == 0
    key, index, to = key + n, index + 1, left or '1'
  end
end
if elsewhere then
  for i = 1, #elsewhere do reply[size + i] = elsewhere[i] end
end
return reply
