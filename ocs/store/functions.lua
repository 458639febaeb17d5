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
-- An error in the middle would not be undone, so what can be wrong is looked at before the first write, and the
-- commands that can still fail (on a key that somebody gave another type) come before those that cannot: the account
-- and its sessions are as they were then.
local function commit(keys, args)
  local expected, sessions = tonumber(args[1]), tonumber(args[3])
  if not expected or not sessions or sessions < 0 or #keys ~= 3 + sessions or #args < 3 + 4 * sessions then
    return redis.error_reply('OCTROI wrong number of keys or arguments')
  end
  local first_event = 4 + 4 * sessions
  for at = 4, first_event - 1, 4 do
    local keep, deadline = tonumber(args[at + 1]), tonumber(args[at + 2])
    -- What is not a number, or not finite, has no remainder 0.
    if not keep or not deadline or keep % 1 ~= 0 or deadline % 1 ~= 0 or keep < 0 or keep > 1e15 then
      return redis.error_reply('OCTROI the time to keep a session, or its deadline, is no number')
    end
  end
  local stored = redis.call('GET', keys[1])
  local version = 0
  if stored then
    version = tonumber(string.match(stored, '^{"version":(%d+)'))
    if not version then
      return redis.error_reply('OCTROI the stored account does not begin with its version: ' .. keys[1])
    end
  end
  if version ~= expected then
    local reply = { stored or '' }
    for i = 4, #keys do
      reply[#reply + 1] = redis.call('GET', keys[i]) or ''
    end
    return reply
  end

  for at = 4, first_event - 1, 4 do
    if args[at + 2] == '0' then
      redis.call('ZREM', keys[2], args[at + 3])
    else
      redis.call('ZADD', keys[2], args[at + 2], args[at + 3])
    end
  end
  for at = first_event, #args do
    redis.call('XADD', keys[3], '*', 'e', args[at])
  end
  for i = 4, #keys do
    local at = 4 * i - 12
    local keep = tonumber(args[at + 1])
    if keep == 0 then
      redis.call('SET', keys[i], args[at])
    else
      redis.call('SET', keys[i], args[at], 'PX', keep)
    end
  end
  redis.call('SET', keys[1], args[2])
  return 1
end

redis.register_function('octroi_commit', commit)
