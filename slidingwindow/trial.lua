-- trial.lua: tell which of the commands that the other scripts call cannot be called here.
--
-- KEYS[1]   a key that nobody else uses; it is removed
-- RETURNS   for each command that fails: its name and the error. A first one "struct" if the
--           server's Lua cannot pack numbers as decide.lua does
--
-- A command that only fails because this server takes no writes now, or because the script is
-- run read-only, is told like any other: the Go side knows these errors.

local failed = {}

local packs, packed = pcall(function()
  return struct.pack('>I7', 283686952306183)
end)
if not packs or packed ~= '\1\2\3\4\5\6\7' then
  failed[1], failed[2] = 'struct', tostring(packed)
end

local key = KEYS[1]
local calls = {
  {'TIME'},
  {'ZADD', key, '1', 'm'},
  {'ZCARD', key},
  {'ZSCORE', key, 'm'},
  {'ZRANGE', key, '0', '0'},
  {'ZCOUNT', key, '1', '1'},
  {'PEXPIRE', key, '5000'},
  {'ZREMRANGEBYRANK', key, '1', '1'},
  {'ZREM', key, 'm'},
  {'UNLINK', key},
}
for _, call in ipairs(calls) do
  local reply = redis.pcall(unpack(call))
  if type(reply) == 'table' and reply.err then
    failed[#failed + 1], failed[#failed + 2] = call[1], reply.err
  end
end
return failed
