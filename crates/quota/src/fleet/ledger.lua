-- Who has which part of a key's limits. The same as ledger.rs, fair.rs and learnt.rs, which say why;
-- a test holds the two against each other.
--
-- KEYS[1]: a hash of one field for each member, and '' for what belongs to the key.
-- ARGV: the time in ms, or '' for the server's own (which is what counts; tests set others), the member, and
-- the renewal's numbers.

local LIMITS, MOST_MEMBERS, CLASSES = 2, 256, 3
local WHOLE, LEAST, SHRINKS_LEAST, SHRINKS_MOST = 1000, 20, 50, 500
local CALM, GROWS_IN = 120000, 600

local min, max = math.min, math.max

local function div(a, b)
  return (a - a % b) / b
end

local function numbers(text)
  local list = {}
  for word in string.gmatch(text, '%S+') do
    list[#list + 1] = tonumber(word)
  end
  return list
end

local function text(list)
  local words = {}
  for i, number in ipairs(list) do
    words[i] = string.format('%.0f', number)
  end
  return table.concat(words, ' ')
end

-- === what it is asked ===

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + div(tonumber(time[2]), 1000)
end
local id = ARGV[2]
local sequence, lease, window, reserve, known, silence, waited =
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]),
  tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local class = tonumber(ARGV[10 + 8 * LIMITS])
local claims = {}
for l = 1, LIMITS do
  local at = 10 + 8 * (l - 1)
  claims[l] = {
    limit = tonumber(ARGV[at]), holds = tonumber(ARGV[at + 1]), used = tonumber(ARGV[at + 2]),
    debt = tonumber(ARGV[at + 3]), demand = tonumber(ARGV[at + 4]), need = tonumber(ARGV[at + 5]),
    version = tonumber(ARGV[at + 6]), throttled = tonumber(ARGV[at + 7]),
  }
end

-- === what is known ===

local key = { born = now, settles = 0, learnt = {} }
for l = 1, LIMITS do
  key.learnt[l] = { thousandths = WHOLE, version = 0, shrunk = 0, grown = 0 }
end
local members, gone = {}, {}
local count = 0

local function forgotten(m)
  return m.expires + m.reserve + m.lasts
end

local stored = redis.call('HGETALL', KEYS[1])
local head
for i = 1, #stored, 2 do
  local n = numbers(stored[i + 1])
  if stored[i] == '' then
    head = n
  else
    local m = { id = stored[i], sequence = n[1], expires = n[2], lasts = n[3], reserve = n[4], since = n[5], class = n[6 + 7 * LIMITS] }
    for l = 1, LIMITS do
      local at = 6 + 7 * (l - 1)
      m[l] = {
        limit = n[at], share = n[at + 1], used = n[at + 2],
        debt = n[at + 3], demand = n[at + 4], need = n[at + 5], safe = n[at + 6],
      }
    end
    if now < forgotten(m) then
      members[m.id] = m
      count = count + 1
    else
      gone[#gone + 1] = m.id
    end
  end
end
if head and count > 0 then
  key.born, key.settles = head[1], head[2]
  for l = 1, LIMITS do
    local at = 3 + 4 * (l - 1)
    key.learnt[l] = {
      thousandths = head[at], version = head[at + 1], shrunk = head[at + 2], grown = head[at + 3],
    }
  end
end

-- === the member's claim ===

local own = members[id]
if own then
  if own.sequence >= sequence then
    return { 1, 0 }
  end
elseif count >= MOST_MEMBERS then
  return { 2, 0 }
elseif known > 0 and max(now - silence, 0) <= key.born then
  key.settles = max(key.settles, key.born + window)
end
own = {
  id = id, sequence = sequence, expires = now, lasts = window + div(window, 100) + 1, reserve = 0,
  since = max(now - waited, 0), class = class,
}
if lease > 0 then
  own.expires, own.reserve = now + lease + 1, reserve
end
for l = 1, LIMITS do
  local c = claims[l]
  own[l] = {
    limit = c.limit, share = c.holds, used = c.used, debt = c.debt, demand = c.demand, need = c.need, safe = 0,
  }
end
members[id] = own
local settling = now < key.settles

local sorted = {}
local counts, latest = 0, 0
for _, m in pairs(members) do
  sorted[#sorted + 1] = m
  if now < m.expires + m.reserve then
    counts = counts + 1
  end
  latest = max(latest, forgotten(m))
end
table.sort(sorted, function(a, b) return a.id < b.id end)

-- === who gets how much ===

local function learn(learnt, claim)
  if learnt.thousandths < WHOLE then
    local from = max(learnt.grown, learnt.shrunk + CALM)
    local steps = div(max(now - from, 0), GROWS_IN)
    if steps > 0 then
      learnt.thousandths = min(WHOLE, learnt.thousandths + steps)
      learnt.grown = from + steps * GROWS_IN
    end
  end
  if claim.throttled > 0 and claim.version == learnt.version then
    local cut = min(max(div(claim.throttled, 2), SHRINKS_LEAST), SHRINKS_MOST)
    learnt.thousandths = max(LEAST, div(learnt.thousandths * (WHOLE - cut), WHOLE))
    learnt.version = learnt.version + 1
    learnt.shrunk, learnt.grown = now, now
  end
end

local function committed(m, l)
  local share, used, safe = m[l].share, m[l].used, m[l].safe
  local later = m.reserve >= m.lasts and safe or min(share, safe)
  if now < m.expires then
    return max(share, used)
  elseif now < m.expires + m.lasts then
    return max(share, used, later)
  end
  return later
end

-- Gives those in `who` as much as the next, but no more than they have use for.
local function fill(capacity, wants, who, shares)
  local order = {}
  for i, w in ipairs(who) do
    order[i] = w
  end
  table.sort(order, function(a, b)
    if wants[a].demand ~= wants[b].demand then
      return wants[a].demand < wants[b].demand
    end
    return a < b
  end)
  local left, n = capacity, #order
  for _, i in ipairs(order) do
    shares[i] = min(wants[i].demand, div(left, n))
    left = left - shares[i]
    n = n - 1
  end
end

-- Gives those of one class theirs.
local function among(capacity, wants, others, shares)
  local stuck, fair = {}, {}
  fill(capacity, wants, others, shares)
  for _, i in ipairs(others) do
    fair[i] = shares[i]
  end
  while true do
    local enough, more = {}, false
    for _, i in ipairs(others) do
      if wants[i].need > shares[i] then
        stuck[#stuck + 1] = i
        more = true
      else
        enough[#enough + 1] = i
      end
    end
    if not more then
      return
    end
    others = enough
    table.sort(stuck, function(a, b)
      if wants[a].since ~= wants[b].since then
        return wants[a].since < wants[b].since
      end
      return a < b
    end)
    local pool = 0
    for _, i in ipairs(stuck) do
      pool = pool + fair[i]
    end
    pool = max(pool, min(wants[stuck[1]].need, capacity))
    local left, blocked = pool, false
    for _, i in ipairs(stuck) do
      local need = min(wants[i].need, capacity)
      blocked = blocked or need > left
      shares[i] = blocked and 0 or need
      left = left - shares[i]
    end
    fill(capacity - pool + left, wants, others, shares)
  end
end

local function divide(capacity, wants)
  local shares, left = {}, capacity
  for c = 0, CLASSES - 1 do
    local peers, later = {}, false
    for i, want in ipairs(wants) do
      if want.class == c then
        peers[#peers + 1] = i
      end
      later = later or want.class > c
    end
    among(left, wants, peers, shares)
    for _, i in ipairs(peers) do
      left = left - shares[i]
    end
    if later then
      local kept = div(div(left, 4), max(#peers, 1))
      for _, i in ipairs(peers) do
        shares[i] = shares[i] + kept
      end
      left = left - kept * #peers
    end
  end
  local part = div(left, #wants + 1)
  for i = 1, #wants do
    shares[i] = shares[i] + part
  end
  return shares
end

local function award(l)
  local learnt = key.learnt[l]
  local whole = 0
  for _, m in ipairs(sorted) do
    local limit = m[l].limit
    if now < m.expires and limit > 0 and (whole == 0 or limit < whole) then
      whole = limit
    end
  end
  if whole > 0 then
    whole = max(div(whole * learnt.thousandths, WHOLE), 1)
  end
  local taken, others = 0, 0
  local wants, position = {}, nil
  for _, m in ipairs(sorted) do
    if now < m.expires then
      local need = min(m[l].need, whole)
      taken = taken + m[l].debt
      wants[#wants + 1] = { demand = max(m[l].demand, need), need = need, since = m.since, class = m.class }
      if m.id == id then
        position = #wants
      end
    else
      taken = taken + committed(m, l)
    end
    if m.id ~= id then
      others = others + committed(m, l)
    end
  end
  local capacity = max(whole - taken, 0)
  local aim = divide(capacity, wants)[position]
  local room = max(whole - others, 0)
  return {
    share = settling and own[l].share or min(aim, max(own[l].share, room)),
    whole = whole,
    prospect = max(aim, wants[position].need, div(capacity, #wants)),
    version = learnt.version,
  }
end

local answer = { 0, counts }
for l = 1, LIMITS do
  local a = { share = 0, whole = 0, prospect = 0, version = 0 }
  if lease > 0 and claims[l].limit > 0 then
    learn(key.learnt[l], claims[l])
    a = award(l)
  end
  if lease > 0 then
    own[l].share = max(own[l].share, a.share)
    own[l].safe = div(a.whole, counts)
  end
  for _, field in ipairs({ 'share', 'whole', 'prospect', 'version' }) do
    answer[#answer + 1] = a[field]
  end
end

-- === what is to be known ===

if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
local record = { own.sequence, own.expires, own.lasts, own.reserve, own.since }
for l = 1, LIMITS do
  for _, field in ipairs({ 'limit', 'share', 'used', 'debt', 'demand', 'need', 'safe' }) do
    record[#record + 1] = own[l][field]
  end
end
record[#record + 1] = own.class
local header = { key.born, key.settles }
for l = 1, LIMITS do
  for _, field in ipairs({ 'thousandths', 'version', 'shrunk', 'grown' }) do
    header[#header + 1] = key.learnt[l][field]
  end
end
redis.call('HSET', KEYS[1], '', text(header), id, text(record))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', latest - now))
return answer
