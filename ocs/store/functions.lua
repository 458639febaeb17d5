#!lua name=octroi

-- One write of the charging server: if the account is at the expected version, the account, its sessions, their
-- deadlines and the events become what the caller decided, all together. Otherwise nothing changes, and the caller
-- gets what is stored, to decide again.
--
-- KEYS  account, deadlines, events, session...
-- ARGV  expected version, account JSON, number of sessions,
--       for each session: JSON, milliseconds to keep it (0: until further notice), deadline in ms (0: none), deadline member
--       event JSON...
-- Reply 1, or a list: the account's JSON, then each session's ('' where there is none)
--
-- Everything that can be wrong is looked at before the first write: an error in the middle would not be undone.
local function commit(keys, args)
  local stored = redis.call('GET', keys[1])
  local version = 0
  if stored then
    version = tonumber(string.match(stored, '^{"version":(%d+)'))
    if not version then
      return redis.error_reply('OCTROI the stored account does not begin with its version: ' .. keys[1])
    end
  end
  local expected = tonumber(args[1])
  local sessions = tonumber(args[3])
  if not expected or not sessions or #keys ~= 3 + sessions or #args < 3 + 4 * sessions then
    return redis.error_reply('OCTROI wrong number of keys or arguments')
  end
  if version ~= expected then
    local reply = { stored or '' }
    for i = 4, #keys do
      reply[#reply + 1] = redis.call('GET', keys[i]) or ''
    end
    return reply
  end

  redis.call('SET', keys[1], args[2])
  local at = 4
  for i = 4, #keys do
    local keep, deadline = args[at + 1], args[at + 2]
    if keep == '0' then
      redis.call('SET', keys[i], args[at])
    else
      redis.call('SET', keys[i], args[at], 'PX', keep)
    end
    if deadline == '0' then
      redis.call('ZREM', keys[2], args[at + 3])
    else
      redis.call('ZADD', keys[2], deadline, args[at + 3])
    end
    at = at + 4
  end
  for i = at, #args do
    redis.call('XADD', keys[3], '*', 'e', args[i])
  end
  return 1
end

redis.register_function('octroi_commit', commit)
