-- Takes the best ARGV[1] members over all KEYS and answers {number of the key, member, score} for each, best first.
local want = tonumber(ARGV[1])
local heads = {}
for number, key in ipairs(KEYS) do
  local found = redis.call('ZRANGE', key, 0, want - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    heads[#heads + 1] = {number, found[i], found[i + 1], tonumber(found[i + 1])}
  end
end
table.sort(heads, function(a, b)
  if a[4] ~= b[4] then return a[4] < b[4] end
  if a[2] ~= b[2] then return a[2] < b[2] end
  return a[1] < b[1]
end)
local best = {}
for i = 1, math.min(want, #heads) do
  local head = heads[i]
  redis.call('ZREM', KEYS[head[1]], head[2])
  best[i] = {head[1], head[2], head[3]}
end
return best
