-- What was used of a Region's day, and who may use more of it. The same as ledger.rs beside it, which says why; a test
-- holds the two against each other.
--
-- KEYS[1]: a hash of one field for each member, one for each quarter of an hour, and '' for what belongs to the day.
-- ARGV: the time in ms, or '' for the server's own (which is what counts; tests set others), the member, and
-- the renewal's numbers.

local MOST_MEMBERS, MOST = 256, 2 ^ 43
local DAY, BUCKET, BETWEEN_PROBES = 86400000, 900000, 10000

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

local function whole_number(number)
  return string.format('%.0f', number)
end

local function text(list)
  local words = {}
  for i, number in ipairs(list) do
    words[i] = whole_number(number)
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
local asked = {}
for i = 3, #ARGV do
  asked[#asked + 1] = tonumber(ARGV[i])
end
local sequence, lease, window, reserve, known, silence, waited = unpack(asked, 1, 7)
local limit, spent, counted, flight, holds, wants, need, asks = unpack(asked, 8, 15)
local used, expects, version, throttled, held_for, over = unpack(asked, 16, 21)

-- === what is known ===

local day = { born = now, settles = 0, version = 0, throttled = 0, till = 0 }
local buckets, members = {}, {}
local count = 0
-- The fields that are to be written, and those that are to go.
local written, gone = {}, {}

local function leaves(bucket)
  return (bucket + 1) * BUCKET + DAY
end

local function forgotten(m)
  return m.expires + m.reserve + m.lasts
end

local function book(at, amount)
  local bucket = div(at, BUCKET)
  if amount > 0 and now < leaves(bucket) then
    buckets[bucket] = min((buckets[bucket] or 0) + min(amount, MOST), MOST)
    written[bucket] = true
  end
end

local stored = redis.call('HGETALL', KEYS[1])
local head
local lost = {}
for i = 1, #stored, 2 do
  local field, n = stored[i], numbers(stored[i + 1])
  if field == '' then
    head = n
  elseif #field < 32 then
    local bucket = tonumber(field)
    if now < leaves(bucket) then
      buckets[bucket] = n[1]
    else
      gone[#gone + 1] = field
    end
  else
    local m = {
      id = field, sequence = n[1], expires = n[2], reserve = n[3], lasts = n[4], since = n[5],
      limit = n[6], spent = n[7], holds = n[8], need = n[9],
    }
    if now < forgotten(m) then
      members[field] = m
      count = count + 1
    else
      lost[#lost + 1] = m
      gone[#gone + 1] = field
    end
  end
end
for _, m in ipairs(lost) do
  book(forgotten(m), m.holds)
end
if head then
  day = { born = head[1], settles = head[2], version = head[3], throttled = head[4], till = head[5] }
end

-- === the member's claim ===

local own = members[id]
if own then
  if own.sequence >= sequence then
    return { 1, 0 }
  end
  book(now, max(spent - own.spent, 0))
elseif count >= MOST_MEMBERS then
  return { 2, 0 }
elseif known > 0 and silence < DAY and max(now - silence, 0) <= day.born then
  day.settles = max(day.settles, day.born + window)
  book(now, max(used - flight, 0))
else
  book(now, max(spent - counted, 0))
end
local live = 1
for _, m in pairs(members) do
  if m.id ~= id and now < m.expires then
    live = live + 1
  end
end
if live < expects then
  day.settles = max(day.settles, now + window)
end
own = {
  id = id, sequence = sequence, expires = now, reserve = 0, lasts = window, since = max(now - waited, 0),
  limit = limit, spent = spent, holds = 0, need = need,
}
if lease > 0 then
  own.expires, own.reserve, own.holds = now + lease + 1, reserve, holds
else
  book(now, holds)
  own.spent = own.spent + holds
end
members[id] = own

-- === who gets how much ===

local function learn()
  if version == day.version and throttled + over > 0 then
    day.version = day.version + 1
    day.throttled = throttled
    day.till = throttled > 0 and now + held_for or 0
  end
end

local function opens_in(taken, whole)
  local order = {}
  for bucket in pairs(buckets) do
    order[#order + 1] = bucket
  end
  table.sort(order)
  local beyond, opens = max(taken - whole, 0), 0
  for _, bucket in ipairs(order) do
    if beyond == 0 then
      break
    end
    beyond = max(beyond - buckets[bucket], 0)
    opens = leaves(bucket) - now
  end
  return opens
end

local function award()
  local booked, held, before, whole = 0, 0, 0, 0
  for _, amount in pairs(buckets) do
    booked = booked + amount
  end
  for _, m in pairs(members) do
    if m.id ~= id then
      held = held + m.holds
    end
    if now < m.expires then
      if m.limit > 0 and (whole == 0 or m.limit < whole) then
        whole = m.limit
      end
    end
  end
  for _, m in pairs(members) do
    local earlier = m.since < own.since or (m.since == own.since and m.id < id)
    local needs = m.id ~= id and now < m.expires and m.need > 0 and m.need <= whole
    if needs and (need == 0 or earlier) then
      before = before + m.need
    end
  end
  local taken = booked + held + flight
  local left = max(whole - taken, 0)
  local room = max(left - before, 0)
  local slice = min(wants, div(room, 2 * live))
  if slice < need and need <= room then
    slice = need
  end
  if now < day.settles then
    slice = min(max(holds - flight, 0), left)
  end
  local opens = opens_in(booked + max(asks, 1), whole)
  local remains = max(day.till - now, 0)
  if day.throttled > 0 then
    local probes = remains == 0 and need > 0 and slice >= need
    slice = 0
    if probes then
      slice = need
      day.till = now + BETWEEN_PROBES
    end
  end
  own.holds = max(own.holds, flight + slice)
  if slice >= need then
    own.need = 0
  end
  return { flight + slice, max(left - slice - held, 0), opens, day.version, day.throttled, remains }
end

local answer = { 0, 0, 0, 0, 0, 0, 0, 0 }
if lease > 0 then
  learn()
  for i, number in ipairs(award()) do
    answer[2 + i] = number
  end
end
for _, m in pairs(members) do
  if now < m.expires + m.reserve then
    answer[2] = answer[2] + 1
  end
end

-- === what is to be known ===

if #gone > 0 then
  redis.call('HDEL', KEYS[1], unpack(gone))
end
local fields = {
  '', text({ day.born, day.settles, day.version, day.throttled, day.till }),
  id, text({
    own.sequence, own.expires, own.reserve, own.lasts, own.since, own.limit, own.spent, own.holds, own.need,
  }),
}
for bucket in pairs(written) do
  fields[#fields + 1] = whole_number(bucket)
  fields[#fields + 1] = whole_number(buckets[bucket])
end
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('PEXPIRE', KEYS[1], whole_number(DAY + BUCKET))
return answer
