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
--          and for each hit whose time is not the first value plus its hit or, where hits share
--          entries, not the first value
--            call, limit, hit (each from 0), its time (us)
--
-- A call reads all before it writes. A refusal writes nothing. Not idempotent: never send it twice.

local call, try, keys, read, format = redis.call, redis.pcall, KEYS, struct.unpack, string.format
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local nowMember = struct.pack('>I7', now)
local nowScore = #clock[2] == 6 and clock[1] .. clock[2] or format('%d', now)

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

-- Finds the first free times from that one on, for so many entries with that text of units.
-- Returns their scores and members, as ZADD takes them.
local function place(name, time, text, entries)
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

-- Writes so many entries with that text of units, and the header. extra is the units beyond one of
-- all entries, goneExtra those of the ones that are gone. Returns an error, or nil, the scores and
-- members written, and whether what is gone is to be removed.
local function append(name, head, window, time, text, entries, extra, goneExtra)
  local found = {string.format('%d', time), struct.pack('>I7', time) .. text}
  if entries > 1 then found = place(name, time, text, entries) end
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
    if added > 0 then return nil, found, removes end
    found, head = place(name, time, text, 1), new -- another hit has that time
  end
end

-- Takes the cost so many times: an entry for each, or one for all if joins. Returns what append does.
local function take(name, head, window, cost, share, hits, time, joins, extra, goneExtra)
  local entries, units, total, old = hits, cost, extra + hits * cost, nil
  if joins or share > 1 then entries, units = 1, hits * cost end
  if share == 1 then
    local text = units > 1 and string.format('%d', units) or ''
    return append(name, head, window, time, text, entries, total - entries, goneExtra)
  end
  local score = string.format('%d', time)
  for _, member in ipairs(redis.call('ZRANGE', name, score, score, 'BYSCORE')) do
    if string.sub(member, 8, 8) == '0' then
      old, units, total = member, units + tonumber(string.sub(member, 8)), total + 1
    end
  end
  local failure, found, removes = append(name, head, window, time, string.format('0%d', units), 1, total - 1, goneExtra)
  if old and found then redis.call('ZREM', name, old) end
  return failure, found, removes
end

-- What is known of each log of a call: in logs, so many values each, or if it is the only one in
-- local variables, which is faster. gone: entries that have left the window; goneExtra: their units
-- beyond one each; extra: such units of all entries; used, oldest: units in the window, time of the
-- oldest hit in it; state: 0 if a hit now changes more of the header than its score, else 1, or 2 if
-- this call also removes what is gone.
local MAX, WINDOW, COST, SHARE, MEMBER, HEAD = 1, 2, 3, 4, 5, 6
local USED, GONE, GONE_EXTRA, EXTRA, STATE, OLDEST, VALUES = 7, 8, 9, 10, 11, 12, 12
local logs, reply, size, elsewhere, waits = nil, {now, nil, nil, nil}, 1, nil, nil
local key, index = 0, 0

for run = 1, #ARGV do
  local kind, ahead, calls, times, n = read('>c1I7I4I4I1', ARGV[run])
  local max, window, cost, share, member
  for i = 1, n do
    max, window, cost, share = read('>I7I7I7I7', ARGV[run], 28 * i - 10)
    member = cost > 1 and nowMember .. format('%d', cost) or nowMember -- of one hit now
    if n > 1 then
      local b = VALUES * (i - 1)
      logs = logs or {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
      logs[b + MAX], logs[b + WINDOW], logs[b + COST], logs[b + SHARE], logs[b + MEMBER] = max, window, cost, share, member
    end
  end
  for _ = 1, calls do
    local rest, done = times, 0
    while rest > 0 do
      local hits, at, failure = rest, now, nil

      -- 1. Look: read each log, and count how often the cost fits in all.
      local head, used, oldest, gone, goneExtra, extra, state
      for i = 1, n do
        local b, name = VALUES * (i - 1), keys[key + i]
        if n > 1 then max, window, cost = logs[b + MAX], logs[b + WINDOW], logs[b + COST] end
        local page = try('ZRANGE', name, '0', '2')
        local first = page[2]
        head = page[1]
        gone = 0; goneExtra = 0; extra = 0; state = 0
        if head then
          local mark, keep, next, till
          if #head == 25 and (not first or #first > 6) then mark, keep, next, till = read('>c4I7I7I7', head) end
          if mark == 'logn' then extra = -1 - call('ZSCORE', name, head)
          elseif mark ~= 'log1' then failure = 'FOREIGN the sorted set is not a log' break end
          if window <= next and now <= till then state = window == keep and 2 or 1 end
          oldest = first and read('>I7', first)
          if first and oldest <= now - window then
            local edge, second, units = now - window, page[3], nil
            gone, units = 1, mark == 'logn' and tonumber(string.sub(first, 8)) or 1
            oldest = second and #second > 6 and read('>I7', second)
            if oldest and oldest <= edge and mark == 'log1' then
              gone = call('ZCOUNT', name, '0', format('%d', edge))
              units, oldest = gone, pass(name, gone + 1, 0, 0)
            elseif oldest and oldest <= edge then
              oldest, second, gone, units = pass(name, 1, edge, 0)
            end
            goneExtra = units - gone
          end
          used = call('ZCARD', name) - 1 - gone + extra - goneExtra
        elseif page.err then failure = page.err break
        else used, oldest = 0, nil end
        if n > 1 then
          logs[b + HEAD], logs[b + USED], logs[b + OLDEST] = head, used, oldest
          logs[b + GONE], logs[b + GONE_EXTRA], logs[b + EXTRA], logs[b + STATE] = gone, goneExtra, extra, state
        end
        if cost > 0 and used + cost * hits > max then hits = math.max(0, math.floor((max - used) / cost)) end
      end

      -- 2. Wait: when does the cost fit each limit?
      if not failure and (hits == 0 or kind == 'w') then
        waits = waits or {}
        for i = 1, n do
          local name, fits = keys[key + i], now
          if n > 1 then
            local b = VALUES * (i - 1)
            max, window, cost, share = logs[b + MAX], logs[b + WINDOW], logs[b + COST], logs[b + SHARE]
            used, gone, extra, oldest = logs[b + USED], logs[b + GONE], logs[b + EXTRA], logs[b + OLDEST]
          end
          local need = cost > 0 and used + cost - max or 0
          if cost > max then fits, ahead = now + window, -1 -- no wait helps
          elseif need == 1 then fits = oldest + window
          elseif need > 0 then
            local skip = extra == 0 and need - 1 or 0 -- entries of one unit need no counting
            local _, last = pass(name, gone + 1 + skip, 0, need - skip)
            fits = last + window
          end
          if kind == 'w' and oldest and cost > 0 then
            local newest = read('>I7', call('ZRANGE', name, '-1', '-1')[1])
            if newest > now + -now % share then fits = math.max(fits, newest) end
          end
          waits[i], at = fits - now, math.max(at, fits)
        end
        hits = kind == 'w' and at - now <= ahead and 1 or 0
      else at = now + ahead end

      -- 3. Take: write to each log. A Redis that is full or read-only refuses the first write.
      if hits > 0 and kind ~= 'p' and not failure then
        for i = 1, n do
          local name, added, first = keys[key + i], 0, now
          local b = VALUES * (i - 1)
          if n > 1 then
            window, cost, share, member, head = logs[b + WINDOW], logs[b + COST], logs[b + SHARE], logs[b + MEMBER], logs[b + HEAD]
            used, gone, goneExtra, extra = logs[b + USED], logs[b + GONE], logs[b + GONE_EXTRA], logs[b + EXTRA]
            state, oldest = logs[b + STATE], logs[b + OLDEST]
          end
          local removes = state == 2
          if state > 0 and hits == 1 and at == now and cost > 0 and share == 1 then
            if extra > 0 then
              local score = -extra - cost + (removes and goneExtra or 0)
              added = try('ZADD', name, format('%d', score), head, nowScore, member)
            elseif cost == 1 then added = try('ZADD', name, nowScore, member) end
          end
          if added == 0 and cost > 0 then
            local found
            added, found, removes = take(name, head, window, cost, share, hits, at + -at % share, kind == 'm', extra, goneExtra)
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
          if cost > 0 then
            if gone > 0 and removes then call('ZREMRANGEBYRANK', name, '1', gone == 1 and '1' or format('%d', gone)) end
            used = used + hits * cost
            if not oldest or oldest > first then oldest = first end
            if n > 1 then logs[b + USED], logs[b + OLDEST] = used, oldest end
          end
        end
      end

      -- 4. Reply.
      if failure then
        reply[size + 1], reply[size + 2] = -1, {err = failure}
        size, rest = size + 2, 0
      else
        size = size + 1
        reply[size] = hits
        for i = 1, n do
          local b = VALUES * (i - 1)
          if n > 1 then used, oldest, window = logs[b + USED], logs[b + OLDEST], logs[b + WINDOW] end
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
for i = 1, elsewhere and #elsewhere or 0 do reply[size + i] = elsewhere[i] end
return reply
